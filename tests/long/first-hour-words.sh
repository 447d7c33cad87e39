# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# first-hour-words.sh - follow FILE SECTION N: do what stands in the N-th block of a section of a document,
# as it stands there.  sudo is nothing for root, apt-get and the package builder ask nothing, and
# "sudoedit FILE  # KEY = VALUE" puts that line into the file.

sudo()
{
    "$@"
}

apt-get()
{
    command apt-get -y -q --no-install-recommends "$@"
}

setting() # FILE "KEY = VALUE": for all models, so in front of the first section
{
    sed -i "1i $2" "$1"
}

block()
{
    awk -v section="$2" -v wanted="$3" '
        /^##* / { sub(/^#* /, ""); inside = $0 == section; next }
        inside && /^```/ { open = !open; n += open; next }
        inside && open && n == wanted' "$1"
}

follow()
{
    local text
    text=$(block "$@" | sed -E -e 's/^sudo sudoedit|^sudoedit/setting/' \
        -e '/^setting/ s/^(setting [^ ]+) *# *([a-z-]+ = [^ ,]+).*/\1 "\2"/' \
        -e 's/^(journalctl .* -f)$/timeout 2 \1 || true/' ${KEY:+-e "s/trit-\\.\\.\\./$KEY/"} \
        ${ID:+-e "s/req-\\.\\.\\./$ID/"})
    [ -n "$text" ] || { echo "FAIL: no block $3 of \"$2\" in $1"; return 1; }
    echo "$text" | sed 's/^/    $ /' >&2
    eval "$text"
}
