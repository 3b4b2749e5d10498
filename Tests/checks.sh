# What the shell tests share. Source it, call `check TITLE FUNCTION [ARGUMENT ...]`, end with `closing_line`.

passed=0 failed=0

# A test is a function, run with `set -e` in a shell of its own; what it prints is shown if it fails.
check() {
    local title=$1 output status
    shift
    # Not `if output=...`: bash ignores `set -e` everywhere inside a condition.
    output=$(set -e; "$@" 2>&1)
    status=$?
    if ((status == 0)); then
        passed=$((passed + 1)); echo "ok: $title"
    else
        failed=$((failed + 1)); echo "FAILED: $title"; sed 's/^/    /' <<<"$output"
    fi
}

closing_line() {
    echo "$passed passed, $failed failed"
    ((failed == 0))
}

# equal FOUND EXPECTED
equal() { [[ $1 == "$2" ]] || { printf 'expected: %s\nfound:    %s\n' "$2" "$1"; return 1; }; }

# has TEXT PART
has() { [[ $1 == *"$2"* ]] || { printf 'no "%s" in: %s\n' "$2" "$1"; return 1; }; }

# absent PATTERN TEXT: no line of the text matches.
absent() { if grep -E -- "$1" <<<"$2"; then return 1; fi; }

# Runs a program without the environment of the person who tests, so without Swift in any path.
bare() { env -i PATH=/usr/bin:/bin "$@"; }
