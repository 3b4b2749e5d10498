# CMake's package, the manual pages and the Debian packages. Sourced by Tests/Packaging/run.

# --- CMake ---

# configure PREFIX LANGUAGES VERSION: into $work/cmake.
configure() {
    rm -rf "$work/cmake"
    cmake -S Tests/Packaging/cmake -B "$work/cmake" -DCMAKE_PREFIX_PATH="$1" -DLANGUAGES="$2" -DWANTED="$3" 2>&1
}
cmake_programs() {
    local language
    configure "$1" 'C;CXX' "$version"
    cmake --build "$work/cmake" 2>&1
    for language in c cxx; do equal "$(bare "$work/cmake/main-$language")" "$version"; done
}
cmake_one_language() {
    local language
    for language in C CXX; do
        configure "$root/build" $language "$version"
        cmake --build "$work/cmake" 2>&1
        equal "$(bare "$work/cmake/main-${language,,}")" "$version"
    done
}
cmake_moved() {
    make -s install PREFIX="$work/first" LIBDIR=lib/x86_64-linux-gnu
    cmake_programs "$work/first"
    mv "$work/first" "$work/second place"
    cmake_programs "$work/second place"
}
cmake_versions() {
    local wanted
    for wanted in '' 0 0.1 "$version" 0.0.1 0.0...0.9; do has "$(configure "$root/build" C "$wanted")" "found $version"; done
    for wanted in 0.99 1.0 9 0.9...1.0 0.0...0.0.9; do
        if configure "$root/build" C "$wanted" >"$work/refusal"; then echo "$wanted was accepted"; return 1; fi
        has "$(tr -s ' \n' ' ' <"$work/refusal")" 'compatible with requested version'
        has "$(cat "$work/refusal")" "ObhutConfig.cmake, version: $version"
    done
}
cmake_incomplete() {
    make -s install PREFIX="$work/incomplete"
    rm "$work/incomplete/include/obhut.h"
    if configure "$work/incomplete" C "" >"$work/refusal"; then return 1; fi
    has "$(tr -s ' \n' ' ' <"$work/refusal")" "has no $work/incomplete/include/obhut.h"
}
wrong_places() {
    local place
    for place in '' /lib ../lib lib/../..; do
        if make -s install PREFIX="$work/wrong" LIBDIR="$place" 2>"$work/refusal"; then echo "LIBDIR=$place was accepted"; return 1; fi
        has "$(cat "$work/refusal")" 'LIBDIR is a folder below PREFIX'
    done
    [[ ! -e $work/wrong ]]
}

# --- manual pages ---

page() { MANWIDTH=10000 LC_ALL=C man -l "build/share/man/man$1/obhut.$1" | col -b | tr -s ' '; }
pages_clean() {
    local section file
    for section in 1 3; do
        file=build/share/man/man$section/obhut.$section
        equal "$(man --warnings=w -l $file 2>&1 >/dev/null)" ""
        equal "$(groff -mandoc -ww -z -Tutf8 $file 2>&1)" ""
        equal "$(mandoc -T lint -W warning $file)" ""
    done
}
# Every command, and every option and argument, that `obhut help` shows, whatever the page was made from.
page_whole() {
    local command words option text
    text=$(page 1)
    for command in $(build/bin/obhut --help | sed -n '/^SUBCOMMANDS/,$s/^  \([a-z-]*\) .*/\1/p'); do
        has "$text" "obhut $command"
        words=$(build/bin/obhut help "$command")
        for option in $(sed -n '/^OPTIONS/,$s/^  \(-[-a-z, ]*\).*/\1/p' <<<"$words" | tr -d ,); do has "$text" "$option"; done
        has "$(tr -s ' \n' ' ' <<<"$text")" "$(sed -n 's/^OVERVIEW: //p' <<<"$words")"
    done
    for option in '--version' '--help' 'Exit status' 'NO_COLOR'; do has "$text" "$option"; done
}
functions_page_whole() {
    local name text
    text=$(page 3)
    for name in $(sed -n 's/^ *\(obhut_[a-z0-9_]*\);.*/\1/p' Sources/ObhutShared/exports.map); do has "$text" "$name("; done
}

# --- Debian ---

debs_made() { packaging/make-deb && [[ -e $(echo build/deb/libobhut0_*.deb) ]]; }
# Not of ours: there is no address to write to, and no wish in Debian's list that a first package would fulfil.
debs_clean() {
    equal "$(lintian --allow-root --fail-on none \
        --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs build/deb/*.deb)" ""
}
debs_depend() {
    local found
    found=$(dpkg-deb -f build/deb/libobhut0_*.deb Depends)
    has "$found" 'liblua5.4-0' && has "$found" 'libyaml-0-2' && has "$found" 'libffi8' && has "$found" 'libc6 (>= 2.34)' && has "$found" 'libstdc++6 (>= 11)'
    has "$(dpkg-deb -f build/deb/libobhut-dev_*.deb Depends)" "libobhut0 (= $version-"
    has "$(dpkg-deb -f build/deb/obhut_*.deb Depends)" "libobhut0 (= $version-"
    absent '[Ss]wift' "$(dpkg-deb -f build/deb/obhut_*.deb Depends)$found"
    # But for the example of a plugin in Swift.
    absent '/usr/local|\.swift|DEBIAN/.*rpath' "$(for package in build/deb/*.deb; do dpkg-deb -c "$package"; done | grep -v '/examples/plugins/')"
}
# dpkg installs them into a root of their own, whose list of packages is a copy of this system's: so it checks the
# dependencies, and touches nothing outside.
in_root() {
    dpkg --root="$work/root" --force-not-root --force-script-chrootless --no-triggers --log="$work/dpkg.log" "$@"
}
debs_installed() {
    local multiarch
    multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
    mkdir -p "$work/root/var/lib/dpkg/"{info,updates,triggers}
    cp /var/lib/dpkg/status "$work/root/var/lib/dpkg/status"
    in_root --install build/deb/*.deb 2>&1 | grep -v 'files list file for package'
    equal "$(in_root --audit obhut libobhut0 libobhut-dev)" ""
    local library=$work/root/usr/lib/$multiarch
    equal "$(dynamic "$work/root/usr/bin/obhut" | grep -cE 'RPATH|RUNPATH')" 0
    equal "$(bare LD_LIBRARY_PATH="$library" "$work/root/usr/bin/obhut" --version)" "obhut $version"
    has "$(bare LD_LIBRARY_PATH="$library" "$work/root/usr/bin/obhut" check Tests/Embedding/app)" 'no faults found'
    # shellcheck disable=SC2046
    cc Tests/Embedding/basic.c -o "$work/with-deb" $(PKG_CONFIG_PATH=$library/pkgconfig pkg-config --cflags --libs obhut)
    equal "$(bare LD_LIBRARY_PATH="$library" "$work/with-deb" Tests/Embedding/app)" "$embedded_output"
    cmake_programs "$work/root/usr"
    # The example in the packages, built as its comment says.
    cp -r "$work/root/usr/share/doc/libobhut-dev/examples/embed-cpp" "$work/with-deb-cpp"
    make -s -C "$work/with-deb-cpp" PKG_CONFIG_PATH="$library/pkgconfig"
    has "$(cd "$work/with-deb-cpp" && bare LD_LIBRARY_PATH="$library" ./embed-cpp main.cpp)" ' words on '
}
debs_removed() {
    # One cannot be taken away under another.
    if in_root --remove libobhut0 2>"$work/refusal"; then return 1; fi
    has "$(cat "$work/refusal")" 'depends on libobhut0'
    in_root --purge obhut libobhut-dev libobhut0
    equal "$(find "$work/root" -name '*obhut*' ! -path '*/var/lib/dpkg/*')" ""
}

package_tests() {
    check "CMake finds the tree that was built, for C and C++ together" cmake_programs "$root/build"
    check "CMake finds it for C alone and C++ alone" cmake_one_language
    check "CMake finds an installation, and one that was moved" cmake_moved
    check "CMake takes fitting versions and refuses others" cmake_versions
    check "CMake is told of an installation without its header" cmake_incomplete
    check "libraries go nowhere but below the prefix" wrong_places
    check "the manual pages have no warning" pages_clean
    check "obhut(1) has every command and option" page_whole
    check "obhut(3) has every function" functions_page_whole
    check "Debian packages are made" debs_made
    check "lintian finds nothing in them" debs_clean
    check "they depend on what they need" debs_depend
    check "dpkg installs them; programs and the command run from there" debs_installed
    check "dpkg removes them, in order only, and leaves nothing" debs_removed
}
