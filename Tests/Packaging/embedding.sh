# Programs that embed the library, as their authors build and run them. Sourced by Tests/Packaging/run.

# --- the C++ header ---

wrapper() {
    local compiler
    for compiler in g++ clang++; do
        # shellcheck disable=SC2086,SC2046
        $compiler -std=c++17 $strict -g Tests/Embedding/wrapper.cpp -o "$work/wrapper" $(built --cflags --libs)
        bare "$work/wrapper"
    done
}
wrapper_sanitized() {
    # shellcheck disable=SC2046
    g++ -std=c++17 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined Tests/Embedding/wrapper.cpp \
        -o "$work/wrapper-sanitized" $(built --cflags --libs)
    bare "$work/wrapper-sanitized"
}
# What obhut.hpp does not wrap, a C++ program has to call through native(): there is no such function.
wrapper_whole() {
    local name code missing=
    code=$(grep -v '^ *//' include/obhut.hpp)
    for name in $(sed -n 's/^ *\(obhut_[a-z0-9_]*\);.*/\1/p' Sources/ObhutShared/exports.map); do
        grep -qw "$name" <<<"$code" || missing+=" $name"
    done
    equal "$missing" ""
}

# The first block of a language in a page.
block() { awk -v fence='```' -v begin='```'"$1" '$0 == begin && !seen { seen = inside = 1; next } $0 == fence { inside = 0 } inside' "$2"; }
# The program of docs/cpp.md, with the application of the README.
documented() {
    mkdir -p "$work/documented/hello"
    block yaml README.md >"$work/documented/hello/_index.yaml"
    block lua README.md >"$work/documented/hello/greeter.lua"
    block cpp docs/cpp.md >"$work/documented/main.cpp"
    # shellcheck disable=SC2086,SC2046
    g++ -std=c++17 $strict "$work/documented/main.cpp" -o "$work/documented/program" $(built --cflags --libs)
    equal "$(cd "$work/documented" && bare ./program)" 'Hello, C++!'
}

# --- other readers of the header ---

# Parsers for bindings know neither compilers' extensions nor the system's headers.
parsed() {
    mkdir -p "$work/stubs"
    echo 'typedef unsigned long size_t;' >"$work/stubs/stddef.h"
    echo 'typedef _Bool bool;' >"$work/stubs/stdbool.h"
    echo 'typedef int int32_t; typedef long int64_t; typedef unsigned uint32_t; typedef unsigned long uint64_t;' >"$work/stubs/stdint.h"
    cc -E -nostdinc -I "$work/stubs" include/obhut.h >"$work/parsed.c"
    python3 - "$work/parsed.c" <<'PYTHON' | LC_ALL=C sort >"$work/parsed"
import sys
from pycparser import c_ast, c_parser

with open(sys.argv[1], encoding="utf-8") as file:
    tree = c_parser.CParser().parse(file.read(), "obhut.h")
for node in tree.ext:
    if isinstance(node, c_ast.Decl) and isinstance(node.type, c_ast.FuncDecl):
        print(node.name)
PYTHON
    equal "$(cat "$work/parsed")" "$(sed -n 's/^ *\(obhut_[a-z0-9_]*\);.*/\1/p' Sources/ObhutShared/exports.map | LC_ALL=C sort)"
}

# --- the examples ---

# example NAME COMPILER make|cmake: builds it into $work/NAME-COMPILER-… and leaves the program's path in $program. In
# a copy, so that the repository stays clean.
example() {
    local copy=$work/$1-$2-$3 variable=CC
    if [[ $1 == *cpp ]]; then variable=CXX; fi
    rm -rf "$copy"
    cp -r "examples/$1" "$copy"
    rm -rf "$copy/build" "${copy:?}/$1"
    if [[ $3 == make ]]; then
        # In the environment: the file adds to them.
        env "${variable/#CC/C}FLAGS=-O1 -g -Werror" make -s -C "$copy" $variable="$2" PKG_CONFIG_PATH="$root/build/pkgconfig"
        program=$copy/$1
    else
        env "$variable=$2" "${variable/#CC/C}FLAGS=-O1 -g -Werror" cmake -S "$copy" -B "$copy/build" -DCMAKE_PREFIX_PATH="$root/build"
        cmake --build "$copy/build"
        program=$copy/build/$1
    fi
}
# What the C example has to tell of a run that ended in order: each worker's and the pool's end, and nothing after it.
told_in_order() {
    grep -qE '^ +[0-9.]+ s  EXIT pool \{app:processes\|0x[0-9a-f]+\}: cancelled: deadline exceeded$' <<<"$1"
    grep -qE "^ +[0-9.]+ s  EXIT worker [1-4] .* linked process .* failed: cancelled: deadline exceeded$" <<<"$1"
    grep -qE '^[0-9]+ ends, [1-9][0-9]* jobs, [0-9]+ of them done$' <<<"$(tail -n 1 <<<"$1")"
}
example_c() {
    local output
    example embed-c "$1" "$2"
    output=$(bare "$program" examples/worker-pool 0.5)
    has "$output" 'time is up'
    told_in_order "$output"
}
# Ctrl-C as soon as a worker is at work.
example_c_interrupted() {
    example embed-c gcc make
    mkfifo "$work/interrupted"
    "$program" examples/worker-pool >"$work/interrupted" &
    local process=$! line output= sent=
    while IFS= read -r line; do
        output+=$line$'\n'
        if [[ -z $sent && $line == *processing* ]]; then
            kill -INT $process
            sent=yes
        fi
    done <"$work/interrupted"
    wait $process
    has "$output" 'interrupted: the pool has one second to end'
    told_in_order "${output%$'\n'}"
}
# What is "possibly lost" are tables of the Swift runtime, which it keeps by addresses inside of them for the program's
# life; what is definitely lost, or read or written wrongly, would be ours.
example_c_checked() {
    example embed-c gcc make
    told_in_order "$(memcheck --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite "$program" examples/worker-pool 2)"
}
example_c_misused() {
    example embed-c gcc make
    equal "$(status_of "$program")" 2
    equal "$(status_of "$program" "$work/none")" 1
    has "$(bare "$program" "$work/none" 2>&1)" 'embed-c: load: '
}
# Whatever fails on the way, each word is counted once.
words() { tr -cs '[:alpha:]' '\n' <"$1" | tr '[:upper:]' '[:lower:]' | sed '/^$/d'; }
example_cpp() {
    local output text=docs/semantics.md
    example embed-cpp "$1" "$2"
    output=$(bare LC_ALL=C "$program" $text examples/embed-cpp/app)
    has "$output" "$(LC_ALL=C words $text | wc -l) words on "
    equal "$(tail -n 5 <<<"$output")" "$(LC_ALL=C words $text | LC_ALL=C sort | uniq -c | LC_ALL=C sort -k1,1nr -k2 | head -n 5 | awk '{ print "  " $1 " " $2 }')"
}
example_cpp_fails() {
    example embed-cpp g++ make
    # Long enough that none of an eighth's chances coming true cannot be: (7/8)^500 is 1e-29.
    local i
    for i in {1..10}; do cat docs/semantics.md docs/lua.md; done >"$work/long.md"
    has "$(bare "$program" "$work/long.md" examples/embed-cpp/app)" 'a counter failed: spilt coffee on page '
    equal "$(status_of "$program" "$work/none" examples/embed-cpp/app)" 1
    has "$(bare "$program" README.md "$work/none" 2>&1)" 'OBHUT_'
}

# --- what the library leaves alone ---

surroundings() {
    # shellcheck disable=SC2086
    cc -std=c99 $strict -Ibuild/include Tests/Embedding/surroundings.c -o "$work/surroundings" -ldl
    bare "$work/surroundings" "$library" Tests/Embedding/app
}
two_copies() {
    mkdir -p "$work/one" "$work/other"
    cp $library "$work/one/"
    cp $library "$work/other/"
    # shellcheck disable=SC2086
    cc -std=c99 -g $strict -Ibuild/include Tests/Embedding/two_copies.c -o "$work/two_copies" -ldl
    bare "$work/two_copies" "$work/one/libobhut.so" "$work/other/libobhut.so" Tests/Embedding/app
}
another_lua() {
    local flags="-std=c99 $strict -rdynamic Tests/Embedding/another_lua.c"
    # shellcheck disable=SC2086,SC2046
    cc -DTRAPS $flags -o "$work/another_lua" $(built --cflags --libs)
    equal "$(bare "$work/another_lua")" 10000
    # Debian's liblua5.4.a is not position-independent.
    # shellcheck disable=SC2086,SC2046
    cc -no-pie $flags -o "$work/another_lua" $(built --cflags --libs) $(pkg-config --cflags lua5.4) \
        -Wl,--whole-archive "$(pkg-config --variable=libdir lua5.4)/liblua5.4.a" -Wl,--no-whole-archive -lm -ldl
    has "$(nm -D --defined-only "$work/another_lua")" ' lua_resume'
    equal "$(bare "$work/another_lua")" 10000
}
# In a view of the system in which the toolchain's folder is empty.
toolchain() { dirname "$(dirname "$(readlink -f "$(command -v "${SWIFT:-swift}")")")"; }
without_swift() {
    local folder program
    folder=$(toolchain)
    embed basic
    example embed-cpp g++ make
    unshare -m sh -euc '
        mount -t tmpfs none "$1"
        test -z "$(ls "$1")"
        env -i PATH=/usr/bin:/bin build/bin/obhut exec examples/worker-pool demo:introduce null || test $? = 1
        env -i PATH=/usr/bin:/bin build/bin/obhut check examples/worker-pool
        env -i PATH=/usr/bin:/bin "$2" Tests/Embedding/app
        env -i PATH=/usr/bin:/bin "$3" README.md examples/embed-cpp/app
    ' sh "$folder" "$work/basic" "$program" >"$work/without_swift"
    has "$(cat "$work/without_swift")" "$embedded_output"
    has "$(cat "$work/without_swift")" ' words on '
    has "$(cat "$work/without_swift")" 'no faults found'
}
can_hide_swift() {
    local folder
    folder=$(toolchain)
    [[ $folder != /usr && $folder != /usr/local ]] && unshare -m mount -t tmpfs none "$folder" 2>/dev/null
}

embedding_tests() {
    local tool
    check "the C++ header does what it says, with g++ and clang++, every warning an error" wrapper
    check "the program of docs/cpp.md greets" documented
    check "the C++ header under the address and the undefined-behaviour sanitizer" wrapper_sanitized
    check "the C++ header wraps every function" wrapper_whole
    check "pycparser reads every function of the header" parsed
    for tool in make cmake; do
        check "examples/embed-c, built with gcc and $tool" example_c gcc $tool
        check "examples/embed-c, built with clang and $tool" example_c clang $tool
        check "examples/embed-cpp, built with g++ and $tool, counts right" example_cpp g++ $tool
        check "examples/embed-cpp, built with clang++ and $tool, counts right" example_cpp clang++ $tool
    done
    check "examples/embed-c stops in order on Ctrl-C" example_c_interrupted
    check "examples/embed-c has no fault and no leak under valgrind" example_c_checked
    check "examples/embed-c tells what is wrong with its arguments" example_c_misused
    check "examples/embed-cpp tells of failures, its counters' and its own" example_cpp_fails
    check "signals, stack, threads and descriptors are as before, after a hundred times" surroundings
    check "two copies of the library run side by side and refuse each other's handles" two_copies
    check "a program that exports a Lua of its own keeps it apart" another_lua
    if can_hide_swift; then
        check "the command and programs run where no Swift is" without_swift
    else
        echo "skipped: the command and programs run where no Swift is (its folder cannot be hidden here)"
    fi
}
