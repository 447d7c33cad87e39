#!/bin/sh
# SPDX-License-Identifier: MIT
# trit-model from outside: what it makes is sound, what is broken it names, how it exits.
# TRIT_MODEL names the program; by default the one in the build directory.
tool=$(cd "$(dirname "${TRIT_MODEL:-./trit-model}")" && pwd)/$(basename "${TRIT_MODEL:-trit-model}")
shared=$(cd "${TRIT_SHARED:-${srcdir:-.}/../shared}" 2>/dev/null && pwd)
top=$(cd "${srcdir:-.}" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/trit-model.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 99
bad=0
tests=0

fail()
{
    echo "FAIL: $*"
    bad=1
}

# expect STATUS WORDS COMMAND...: its exit status, and that stdout or stderr says WORDS, if any.
expect()
{
    want=$1 words=$2
    shift 2
    tests=$((tests + 1))
    "$@" >out 2>&1
    status=$?
    [ $status -eq "$want" ] || fail "$* exited with $status, expected $want: $(head -3 out)"
    [ -z "$words" ] || grep -q -e "$words" out || fail "$* does not say '$words': $(head -3 out)"
}

same()
{
    tests=$((tests + 1))
    cmp "$1" "$2" >out 2>&1 || fail "$1 and $2 differ: $(cat out)"
}

# poke FILE OFFSET BYTES: write BYTES (in printf's octal) over the file at OFFSET.
poke()
{
    # shellcheck disable=SC2059
    printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

size()
{
    wc -c <"$1"
}

# Help, and what is wrong with a command line.
expect 0 'Usage: trit-model COMMAND' "$tool" --help
expect 0 'trit-model [0-9]' "$tool" --version
expect 2 'Usage' "$tool"
expect 2 "no command 'transmute'" "$tool" transmute
expect 0 'Usage: trit-model quantize' "$tool" convert --help
for c in inspect verify quantize synth segments; do
    expect 0 'Examples:' "$tool" $c --help
    expect 0 'Examples:' "$tool" help $c
    expect 2 "Try: trit-model $c --help" "$tool" $c --no-such-option
done
expect 2 'expected one' "$tool" inspect
expect 2 'expected one' "$tool" verify a b
expect 2 'shape is missing' "$tool" synth -o x.gguf
expect 2 'FILE is missing' "$tool" synth --shape tiny
expect 2 'expected tiny' "$tool" synth --shape huge -o x.gguf
expect 2 'expected tq1_0' "$tool" synth --shape tiny --type q4_0 -o x.gguf
expect 2 'expected one of: bitnet' "$tool" synth --shape tiny --arch gpt2 -o x.gguf
expect 2 'from 266' "$tool" synth --shape tiny --vocab 265 -o x.gguf
expect 2 'expected a number' "$tool" synth --shape tiny --seed -1 -o x.gguf
expect 2 'multiple of 256.*8640\|multiple of 256.*3200' "$tool" synth --shape 3b --type tq1_0 -o x.gguf
expect 2 'do not go together' "$tool" segments --clean --remove x
expect 2 'expected IN and OUT' "$tool" quantize --type i2_s a
expect 2 'type is missing' "$tool" quantize a b
expect 2 'q4_0: expected keep, f32' "$tool" quantize --type i2_s --embedding q4_0 a b
expect 2 'order, --tiles and --unchecked: not with --type onebit' \
    "$tool" quantize --type onebit --order arm a b
expect 2 'absmean: not with --type billm' "$tool" quantize --type billm --absmean a b
expect 2 'sequences: not with --type onebit' "$tool" quantize --type onebit --sequences 3 a b
expect 2 'only with --type onebit or billm' "$tool" quantize --type tq1_0 --sequences 3 a b
expect 2 'needs --calibration' "$tool" quantize --type tq1_0 --type billm a b
expect 1 'cannot create' "$tool" synth --shape tiny -o /nonexistent/x.gguf
expect 1 'not a regular file' "$tool" synth --shape tiny -o /dev/null
[ -e x.gguf ] && fail "a refused command left a file"

# Who is ended leaves nothing behind; who shall not hear of a hangup goes on.
begun()
{
    for _ in $(seq 600); do
        set -- cut/*
        [ -e "$1" ] && return
        sleep 0.1
    done
    fail "synth writes nothing"
}
mkdir cut
for signal in TERM HUP PIPE; do
    "$tool" synth --shape 2b -o cut/x.gguf >out 2>&1 &
    begun
    kill -$signal $!
    wait $!
    status=$?
    tests=$((tests + 1))
    [ "$(kill -l $status)" = $signal ] ||
        fail "synth that is ended by $signal exited with $status: $(head -3 out)"
    [ -z "$(ls cut)" ] || fail "synth that is ended by $signal leaves $(ls cut)"
    rm -rf cut/*
done
(
    trap '' HUP
    exec "$tool" synth --shape 2b -o cut/x.gguf
) >out 2>&1 &
begun
kill -HUP $!
kill -TERM $!
wait $!
status=$?
tests=$((tests + 1))
[ "$(kill -l $status)" = TERM ] || fail "synth under nohup exited with $status"
rm -r cut

# Those with a scale for each group of 128 as well; where one block would need two scales it says so.
for type in q2_0 pq2_0 ptq1_0 tq2_0; do
    expect 0 '' "$tool" synth --shape bonsai-tiny --type $type -o group-$type.gguf
done
for from in q2_0 pq2_0 ptq1_0; do
    for to in q2_0 pq2_0 ptq1_0; do
        expect 0 '28 linear layers' "$tool" quantize --type $to group-$from.gguf group-x.gguf --force
        cmp -s group-x.gguf group-$to.gguf || fail "$from to $to is not $to"
    done
    expect 1 'within 256 weights, of which TQ1_0 has one; use pq2_0' \
        "$tool" quantize --type tq1_0 group-$from.gguf group-y.gguf
    expect 1 'expected one for the whole tensor' \
        "$tool" quantize --type i2_s group-$from.gguf group-y.gguf
done
expect 0 '' "$tool" quantize --type q2_0 group-tq2_0.gguf group-y.gguf
expect 2 'group-y.gguf is there already; --force' "$tool" quantize --type pq2_0 group-tq2_0.gguf group-y.gguf
expect 0 '' "$tool" quantize --type tq2_0 group-y.gguf group-x.gguf --force
tail -c 800000 group-x.gguf >x.tail
tail -c 800000 group-tq2_0.gguf >y.tail
cmp -s x.tail y.tail ||
    fail "TQ2_0 to Q2_0 and back is not the same, but for general.file_type"

# Every encoding of the same seed is the same model; quantize goes between them byte for byte.
for t in tq1_0 tq2_0 i2_s f16; do
    expect 0 '' "$tool" synth --shape tiny --type $t -o $t.gguf
    expect 0 ' 0 problems' "$tool" verify $t.gguf
done
[ "$(size tq2_0.gguf)" -le 2000000 ] || fail "tiny is not tiny"
for from in tq1_0 tq2_0 i2_s f16; do
    for to in tq1_0 tq2_0 i2_s; do
        expect 0 '28 linear layers' "$tool" quantize --force --type $to $from.gguf $from-$to.gguf
        grep -q 'absmean\|binary16' out && fail "$from to $to is not exact: $(cat out)"
        same $from-$to.gguf $to.gguf
    done
done
expect 0 '' "$tool" synth --shape tiny --seed 2 -o other.gguf
cmp -s other.gguf tq2_0.gguf && fail "the seed makes no difference"

# The made models come from another writer, and have no general.file_type to differ in.
if [ -f "$shared/oracle/models/b158.f16.gguf" ]; then
    for from in f16 tq1_0 i2_s; do
        for to in tq1_0 tq2_0 i2_s; do
            expect 0 '28 linear layers' "$tool" quantize --force --type $to \
                "$shared/oracle/models/b158.$from.gguf" x.gguf
            same x.gguf "$shared/oracle/models/b158.$to.gguf"
        done
    done
    rm -f x.gguf
else
    echo "skipped: no made models under ${TRIT_SHARED:-../shared} (set TRIT_SHARED)"
fi

# Other architectures, heads and vocabularies.
for a in bitnet bitnet-25 llama; do
    expect 0 '' "$tool" synth --shape tiny --arch $a --type i2_s --head q8_0 --vocab 1000 -o a.gguf
    expect 0 ' 0 problems' "$tool" verify a.gguf
    expect 0 "architecture *\"$a\"" "$tool" inspect a.gguf
    expect 0 'token_embd.weight *Q8_0 *1000 x 256' "$tool" inspect a.gguf
done
expect 0 'output.weight' "$tool" inspect a.gguf
expect 0 '"ternary_parameters":.*3145728' "$tool" inspect --json tq1_0.gguf
expect 0 '"general.architecture":.*"bitnet-b1.58"' "$tool" inspect --json tq1_0.gguf

# An embedding and a head of F32 become what synth itself makes of them in another encoding.
for h in f32 f16 q8_0; do
    expect 0 '' "$tool" synth --shape tiny --arch llama --head $h -o head-$h.gguf
done
for h in f32 f16 q8_0; do
    expect 0 'TQ2_0; the embedding and the head as' "$tool" quantize --force --type tq2_0 --embedding $h \
        head-f32.gguf x.gguf
    same x.gguf head-$h.gguf
    # F32 holds the values of all three; what was rounded once is not rounded again.
    expect 0 '' "$tool" quantize --force --type tq2_0 --embedding f32 head-$h.gguf wide.gguf
    expect 0 'token_embd.weight *F32 ' "$tool" inspect wide.gguf
    expect 0 '' "$tool" quantize --force --type tq2_0 --embedding $h wide.gguf x.gguf
    same x.gguf head-$h.gguf
    expect 0 '' "$tool" quantize --force --type tq2_0 --embedding keep head-$h.gguf x.gguf
    same x.gguf head-$h.gguf
done
expect 0 '28 linear layers as TQ1_0; the embedding as Q8_0' \
    "$tool" quantize --force --type tq1_0 --embedding q8_0 f16.gguf x.gguf
expect 0 'token_embd.weight *Q8_0 *512 x 256' "$tool" inspect x.gguf
expect 0 ' 0 problems' "$tool" verify x.gguf
rm -f x.gguf wide.gguf

# What cannot be written is named.  An entry of the directory is the name, the number of dimensions,
# two of them, the type.  Rows of 33 values are no blocks of 32, but any row can be F16.
entry=$(($(grep -abo token_embd.weight head-f32.gguf | cut -d: -f1) + 17))
# shellcheck disable=SC2317 # called by expect
requantize()
{
    "$tool" quantize --force --type tq2_0 --embedding "$@"
}
cp head-f32.gguf bad.gguf
poke bad.gguf $((entry + 4)) '\041\000'
expect 1 'token_embd.weight: found rows of 33 values, expected a multiple of 32' \
    requantize q8_0 bad.gguf y.gguf
expect 0 '' requantize f16 bad.gguf x.gguf
expect 0 'token_embd.weight *F16 *512 x 33 ' "$tool" inspect x.gguf
cp head-f32.gguf bad.gguf
poke bad.gguf $((entry + 20)) '\043'
expect 1 'token_embd.weight: found TQ2_0, expected F32' requantize q8_0 bad.gguf y.gguf
cp head-f32.gguf bad.gguf
poke bad.gguf $((entry - 1)) s
expect 1 'no embedding found: expected the matrix token_embd.weight' \
    requantize q8_0 bad.gguf y.gguf

# Row 1, column 3 of the embedding, the first tensor, becomes: the least value that F16 has no room
# for, the least that Q8_0 has none for, no number.  The file ends with the last tensor's data.
# shellcheck disable=SC2046
set -- $("$tool" inspect --json head-f32.gguf | grep -o '"\(bytes\|offset\)":[^,]*' | tail -2 |
    grep -o '[0-9]*')
value=$(($(size head-f32.gguf) - $1 - $2 + 4 * (256 + 3)))
cp head-f32.gguf bad.gguf
poke bad.gguf $value '\000\360\177\107'
expect 1 'found 65520 at row 1, column 3, expected a size below 65520, which F16' \
    requantize f16 bad.gguf y.gguf
expect 0 '' requantize q8_0 bad.gguf x.gguf
expect 0 ' 0 problems' "$tool" verify x.gguf
poke bad.gguf $value '\040\360\375\112'
expect 1 'at row 1, column 3, expected a size below 8321040, which Q8_0' \
    requantize q8_0 bad.gguf y.gguf
expect 0 '' requantize f32 bad.gguf x.gguf
poke bad.gguf $value '\000\000\300\177'
expect 1 'found nan at row 1, column 3, expected a finite number' \
    requantize q8_0 bad.gguf y.gguf
[ -e y.gguf ] && fail "a refused embedding left a file"
rm -f x.gguf head-*.gguf

# What a file does not tell: tiles, and the order of I2_S, which a trained model's weights tell.
rows=$top/tests/golden/rows.gguf
cat >kernel_config.ini <<'END'
[Kernels_0]
m = 128
k = 128
bm = 64
bk = 64
bmm = 32

[Kernels_1]
m = 128
k = 192
bm = 128
bk = 64
bmm = 64
END
expect 0 'IQ1_BN .* zeros in iq1_bn' "$tool" inspect "$rows"
expect 1 'tensor tl1_32 is TL1, whose codes lie in tiles' "$tool" verify "$rows"
expect 1 'tensor tl2: no tiles were given for TL2 of 128 x 256' \
    "$tool" verify --tiles kernel_config.ini "$rows"
expect 0 ' 0 problems' "$tool" verify --tiles kernel_config.ini --tiles 128x256=64,96,32 \
    --tiles 64x288=32,96,32 "$rows"
expect 1 'cannot have tiles of BM=64, BK=64, BMM=32' "$tool" verify --tiles 64,64,32 "$rows"
expect 2 'expected BM,BK,BMM' "$tool" verify --tiles 64,64 "$rows"
expect 2 'expected BM,BK,BMM' "$tool" quantize --tiles none.ini "$rows" x.gguf
sed -i '/^bk/d' kernel_config.ini
expect 2 'before line 7 lacks one of m, k, bm, bk, bmm' "$tool" verify --tiles kernel_config.ini "$rows"
echo 'bm: 3' >kernel_config.ini
expect 2 'line 1: expected NAME = NUMBER' "$tool" verify --tiles kernel_config.ini "$rows"
for line in 'bm = 3 4' 'bm = 4294967295' 'bm = -3' "# $(printf '%0200d' 0)"; do
    printf '[Kernels_0]\n%s\n' "$line" >kernel_config.ini
    expect 2 'line 2: expected' "$tool" verify --tiles kernel_config.ini "$rows"
done
echo '[Kernels_0]' >kernel_config.ini
expect 2 'there is no section' "$tool" verify --tiles kernel_config.ini "$rows"
expect 2 'expected published, arm or four' "$tool" verify --order x86 "$rows"
expect 1 'there is no I2_S to be read' "$tool" verify --order arm tq2_0.gguf
expect 1 'there is no TL1 or TL2' "$tool" verify --tiles 64,64,32 tq2_0.gguf
expect 0 '' "$tool" quantize --type i2_s "$top/models/storyteller.gguf" story.gguf
expect 0 'in the order of a trained model' "$tool" verify story.gguf
expect 1 'with --order published they are not' "$tool" verify --order arm story.gguf
expect 1 'with --order published they are not' "$tool" quantize --order four --type tq1_0 story.gguf x.gguf
[ -e x.gguf ] && fail "an order that was refused left a file"
expect 0 ' 0 problems' "$tool" verify --order arm --unchecked story.gguf
expect 0 'nothing tells' "$tool" verify i2_s.gguf
rm -f story.gguf kernel_config.ini

# A folder of Hugging Face files, which is the same model as the file.
expect 0 '' "$tool" synth --shape tiny --hf -o folder
expect 0 '3145728 ternary weights .* 0 problems' "$tool" verify folder
cp -r folder texts
sed -i 's/"eos_token_id":[ \t]*[0-9]*/"eos_token_id": 99999/' texts/config.json
expect 1 'problem: .*eos_token_ids: found 99999, expected less than' "$tool" verify texts
cp -r folder/* texts/
echo '{% for m in messages %}{{ m.content }}' >texts/chat_template.jinja
expect 1 'problem: .*tokenizer.chat_template: .*endfor' "$tool" verify texts
rm -r texts
expect 0 'HF_U8 .* zeros in blk.0' "$tool" inspect folder
expect 2 'found --type' "$tool" synth --shape tiny --hf --type i2_s -o folder
expect 2 'expected --head f16 or f32' "$tool" synth --shape tiny --hf --head q8_0 -o folder
expect 1 'cannot make the folder' "$tool" synth --shape tiny --hf -o none/folder
rm -rf folder

# Damage, named.  The file ends with blk.3.ffn_down and its last block: 64 bytes of codes, a scale,
# and the padding, whose length follows from the file's.
cp tq2_0.gguf bad.gguf
end=$(size bad.gguf)
pad=0
while [ "$(od -An -tx1 -j $((end - pad - 1)) -N1 bad.gguf | tr -d ' ')" = 00 ]; do
    pad=$((pad + 1))
done
scale=$((end - pad - 2))
poke bad.gguf $((scale - 1)) '\377'
expect 1 'blk.3.ffn_down.weight: .*row 255, column 512 has code 3' "$tool" verify bad.gguf
expect 1 'blk.3.ffn_down.weight: .*code 3' "$tool" quantize --force --type tq1_0 bad.gguf x.gguf
cp tq2_0.gguf bad.gguf
poke bad.gguf $scale '\000\176'
expect 1 'blk.3.ffn_down.weight: the scale at row 255, column 512 is -*nan' "$tool" verify bad.gguf
expect 1 'scale -*nan' "$tool" quantize --force --type tq1_0 bad.gguf x.gguf
poke bad.gguf $scale '\000\170'
expect 1 'is 32768, expected one between' "$tool" verify bad.gguf
expect 1 'expected one for the whole tensor' "$tool" quantize --force --type i2_s bad.gguf x.gguf
cp f16.gguf bad.gguf
poke bad.gguf $(($(size f16.gguf) - 2)) '\000\174'
expect 1 'blk.3.ffn_down.weight: the value at row 255, column 767 is inf' "$tool" verify bad.gguf
expect 1 'found inf, expected a finite number' "$tool" quantize --force --type tq1_0 bad.gguf x.gguf
head -c 1000000 tq2_0.gguf >bad.gguf
expect 1 'beyond the file' "$tool" verify bad.gguf
expect 1 'beyond the file' "$tool" inspect bad.gguf
expect 1 'cannot open' "$tool" inspect none.gguf
echo 'plain text' >notes
expect 1 'expected 47 47 55 46' "$tool" inspect notes
[ -e x.gguf ] && fail "a failed quantize left its output"

# One weight of another size makes master weights of a matrix.
cp f16.gguf bad.gguf
poke bad.gguf $(($(size f16.gguf) - 2)) '\000\064'
expect 0 '1 of them rounded from master weights' "$tool" quantize --force --type i2_s bad.gguf x.gguf
expect 0 ' 0 problems' "$tool" verify x.gguf

expect 0 '' "$tool" synth --shape tiny --arch llama --type f16 -o bad.gguf
poke bad.gguf $(($(size bad.gguf) - 2)) '\000\064'
expect 1 'so this is no ternary model' "$tool" quantize --force --type i2_s bad.gguf y.gguf
expect 0 '1 of them rounded' "$tool" quantize --force --absmean --type i2_s bad.gguf x.gguf

# A scale that binary16 cannot hold is reported, one that would vanish is refused.
cp i2_s.gguf bad.gguf
scale=$(($(size i2_s.gguf) - 32))
poke bad.gguf $scale '\001\000\200\077'
expect 0 'in 1 layers; the trits are exact' "$tool" quantize --force --type tq1_0 bad.gguf x.gguf
poke bad.gguf $scale '\000\000\200\062'
expect 1 'does not fit the binary16 scale' "$tool" quantize --force --type tq1_0 bad.gguf y.gguf

# Nothing half-written is left beside the results.
for f in *.gguf.*; do
    [ -e "$f" ] && fail "left behind: $f"
done

mkdir shm
expect 0 'no segments' "$tool" segments --dir "$dir/shm"
expect 0 'removed 0' "$tool" segments --dir "$dir/shm" --clean
expect 1 '.' "$tool" segments --dir "$dir/shm" --remove tritd-0-none

echo "$tests checks"
exit $bad
