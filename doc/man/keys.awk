# SPDX-License-Identifier: MIT
#
# keys.awk - from the lines of `tritd --list-keys` to the lists of tritd.conf(5), in place of @KEYS@.
#
# Usage: awk -f keys.awk KEYS tritd.conf.5.in

BEGIN { FS = "\t" }

# Print what would not be read as a macro or an escape, in lines of words.
function folded(s,    words, n, i, line)
{
    n = split(s, words, " ")
    line = ""
    for (i = 1; i <= n; i++) {
        if (line != "" && length(line) + 1 + length(words[i]) > 78) {
            print plain(line)
            line = words[i]
        } else {
            line = line (line == "" ? "" : " ") words[i]
        }
    }
    print plain(line)
}

function plain(s)
{
    gsub(/\\/, "\\e", s)
    if (s ~ /^[.']/)
        s = "\\&" s
    return s
}

# A sentence begins a line, as mdoc wants it.
function sentences(s)
{
    while (match(s, /\. [A-Z0-9]/)) {
        folded(substr(s, 1, RSTART))
        s = substr(s, RSTART + 2)
    }
    folded(s)
}

FNR == NR {
    n++
    for (i = 1; i <= 6; i++)
        field[n, i] = $i
    cross = NF < 6
    next
}

/^@KEYS@$/ {
    group = ""
    if (cross) {
        print ".Pp"
        print "The keys are listed by"
        print ".Dq tritd --help ."
        next
    }
    for (k = 1; k <= n; k++) {
        if (field[k, 5] == "command")
            continue
        if (field[k, 2] != group) {
            if (group != "")
                print ".El"
            group = field[k, 2]
            print ".Ss " group
            print ".Bl -tag -width Ds"
        }
        print ".It Cm " field[k, 1] " No = " (field[k, 3] ~ /\|/ ? "Cm " : "Ar ") plain(field[k, 3])
        sentences(field[k, 6])
        print "Default:"
        print field[k, 4] == "" ? ".Em empty" : ".Cm " plain(field[k, 4])
        if (field[k, 5] == "reload")
            print ".Pq Em reload"
    }
    print ".El"
    next
}

{ print }
