import ArgumentParser

/// Which shared libraries the application may use, beside those in its own folder.
struct NativeOptions: ParsableArguments {
    @Option(
        name: .customLong("allow-native"),
        help: ArgumentHelp(
            """
            A shared library outside of the application's folder that it may use: a soname or an absolute path, with \
            wildcards; a path that ends in / is all that lies below it. May be given more than once.
            """, valueName: "pattern"))
    var patterns: [String] = []
}
