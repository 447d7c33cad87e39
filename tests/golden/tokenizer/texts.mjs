// SPDX-License-Identifier: MIT
// Texts that tell tokenizers apart: scripts, white space, digits, contractions, code, and random
// runs of these.  Everything is derived from one seed, so the vectors can be made again.

// Numerical Recipes' generator: small, the same everywhere.
export function random(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 4294967296) * below);
  };
}

export const prose = [
  'The quick brown fox jumps over the lazy dog and the other one.',
  'Hello, world! How are you? I am fine; thanks.',
  'It was the best of times, it was the worst of times…',
  'naïve café, coöperation, Ångström, fiancée, Zoë',
  'nai\u0308ve cafe\u0301, A\u030angstro\u0308m', // combining marks
  'Größe, Straße, Übermut, ſtille, GROẞ',
  'Français : « L’été », œuvre, ça va ?',
  'Español: ¿Qué tal? ¡Mañana!',
  'Polski: zażółć gęślą jaźń',
  'Čeština: příliš žluťoučký kůň',
  'Türkçe: İstanbul, ılık, şöyle',
  'Tiếng Việt: Chào buổi sáng, thế giới',
  'Русский: Съешь ещё этих мягких французских булок',
  'Українська: Їжак ґава, об’єкт',
  'Ελληνικά: Ξεσκεπάζω την ψυχοφθόρα',
  'Հայերեն: Բարեւ աշխարհ',
  'ქართული: გამარჯობა მსოფლიო',
  'العربية: مرحبا بالعالم، كيف حالك؟',
  'العَرَبِيَّةُ بِالتَّشْكِيل', // vowel marks
  'فارسی: سلام دنیا می\u200cخواهم', // zero width non-joiner
  'עברית: שלום עולם, מה שלומך?',
  'עִבְרִית מְנֻקֶּדֶת',
  'हिन्दी: नमस्ते दुनिया, क्षत्रिय',
  'বাংলা: ওহে বিশ্ব',
  'தமிழ்: வணக்கம் உலகம்',
  'తెలుగు: హలో ప్రపంచం',
  'ไทย: สวัสดีชาวโลก ภาษาไทยไม่มีช่องว่าง',
  'ລາວ: ສະບາຍດີ',
  'ខ្មែរ: សួស្តី​ពិភពលោក',
  'မြန်မာ: မင်္ဂလာပါ',
  'བོད་སྐད: བཀྲ་ཤིས་བདེ་ལེགས།',
  'አማርኛ: ሰላም ለዓለም',
  '中文：你好，世界！今天天气很好。',
  '日本語：こんにちは世界。カタカナ、ひらがな、漢字',
  'ﾊﾝｶｸ ｶﾀｶﾅ ＦＵＬＬＷＩＤＴＨ　ｔｅｘｔ',
  '한국어: 안녕하세요 세계',
  '\u1112\u1161\u11ab\u1100\u1173\u11af', // Hangul, decomposed
  '𠜎𠜱𠝹 𝒳𝓎𝓏 𝟘𝟙𝟚', // beyond the first plane
  '👍 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 ☃️ 1️⃣',
  'mixed:привет-hello-你好-مرحبا-123',
];

export const shapes = [
  "I'm you're he'll we've they'd it's don't can't",
  "I'M YOU'RE HE'LL WE'VE THEY'D IT'S DON'T CAN'T",
  "'Sample 'Tis 'REason 'Very 'VEry 'Mother 'LLoyd 'Done 'S'T'RE'sS",
  "'sample 'tis 'Till 'reason 'very 'mother 'lloyd 'done 's't're",
  "it's' ''s '''ll x'y O'Brien rock'n'roll",
  'I’m don’t', // the other apostrophe is no contraction
  "'\u017f it'\u017fx \u212a'Sx", // long s and Kelvin sign: fold to s and k, but not here
  '0 1 12 123 1234 12345 1234567890 3.14159 1,000,000.00',
  'x1y22z333 a1b2c3 1st 2nd 3rd 100% $5 #1 v1.2.3-rc4',
  '٠١٢٣٤٥ ०१२३४५ ๐๑๒๓๔ ０１２３４５ ⅣⅫ ½¾ ²³ ①②③ 一二三',
  '!!! ??? ... --- ___ *** ### @@@ &&& <<<>>> (([[{{}}]]))',
  'a!b!!c!!!\nd?!\r\n e:;\n\n\nf',
  'tab\tseparated\t\tvalues\t\t\tend\t',
  ' leading', '  leading', '   leading', 'trailing ', 'trailing  ', 'trailing   ',
  'two  spaces   three    four     five',
  '\n', '\n\n', '\n\n\n', '\r', '\r\n', '\r\n\r\n', '\n\r\n\r', ' ', '  ', '   ', '\t', '\t\t', ' \t ',
  'a\nb', 'a\n\nb', 'a \n b', 'a  \n  b', 'a\r\nb', 'a \r\n \r\n b', 'x\n ', 'x\n  y', 'x \n', 'x  \n\n  ',
  'a\u00a0b', 'a\u00a0\u00a0b', '\u00a0', 'a \u00a0 b', // no-break space
  'a\u3000b', '\u3000\u3000a', 'a\u2003b', 'a\u2028b', 'a\u2029\u2029b', 'a\u202fb', 'a\u205fb', 'a\u1680b',
  'a\u0085b', ' \u0085 ', '\u0085\u0085x', // next line: White_Space, though not in JavaScript
  'a\ufeffb', ' \ufeff ', '\ufeffx', // no White_Space, though in JavaScript
  'a\u180eb', ' \u180e ', '\u180e\u180e x', // White_Space until Unicode 6.3
  'a\u200bb', ' \u200b ', '\u200d', '\u2060x', '\u00adsoft\u00adhyphen',
  'a\u000bb\u000cc', '\u000b\u000c', '\u001c\u001d\u001e\u001f', 'bell\u0007 esc\u001b[0m \u007f',
  '\u0300', ' \u0300', 'a\u0300\u0301\u0302', '\u0300\u0301x', // marks are no letters
  'e\u20dd \u20ac \u00a3 \u00a5 \u2211 \u221e \u2260 \u2192',
  'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
  'ththththththethethetheinginginginganderreonatandououheenitllor',
  'the the  the   the\tthe\nthe', ' the', 'the', 'The', 'THE', ' thethethe', 'andand and  and',
  'Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft',
  'pneumonoultramicroscopicsilicovolcanoconiosis supercalifragilisticexpialidocious',
  '\u{10ffff}\u{e000}\u{f8ff}\ufffd\uffff', '\u0378\u0379', // private, unassigned, noncharacters
];

export const code = [
  '#include <stdio.h>\n\nint main(void)\n{\n    printf("%d\\n", 42);\n    return 0;\n}\n',
  'def f(x: int) -> str:\n    """doc"""\n    return f"{x!r:>10}"  # comment\n',
  'for (let i = 0; i < n; i++) {\n\t\tconsole.log(`${i}: ${a[i] ?? null}`);\n}\n',
  'fn main() -> Result<(), Box<dyn Error>> { let v: Vec<u8> = vec![0; 16]; Ok(()) }',
  'SELECT * FROM t WHERE a >= 10 AND b LIKE \'%x%\';\r\n-- end\r\n',
  '<p class="a">Hello &amp; <b>bye</b><br/></p>\n<!-- note -->',
  '{"key": [1, 2.5e-3, null, true], "nested": {"a": "\\u00e9"}}',
  'https://example.org/a/b?c=d&e=f#g user@example.org +49 (0)30 123456',
  'λx.x ∀a∈A: a≠∅ ⇒ ∃b | f(a)=b',
  '\\begin{equation} E = mc^2 \\end{equation}',
  '| a | b |\n|---|:-:|\n| 1 | 2 |\n',
  '$ ls -la /usr/bin | grep -v "^d" > out.txt 2>&1 && echo $?',
];

export const special = [
  '<|begin_of_text|>Hello<|end_of_text|>',
  '<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>',
  '<|eot_id|><|eot_id|><|eot_id|>', ' <|eot_id|> ', 'a <|eot_id|>\nb', '<|eot_id|>\n\n<|eot_id|>',
  '<|eot_id', '<|eot_id|', '<|eot_id|>|>', '<<|eot_id|>>', '<|<|eot_id|>|>', '|eot_id|', '<|EOT_ID|>',
  '<|reserved|> <|end_of_text|', '<|start_header_id<|end_header_id|>', 'x  <|eot_id|>  y',
];

const pools = [
  'etaoin shrdlu', 'abcdefghijklmnopqrstuvwxyz', 'THE and ing re ou', '0123456789', ' \t\n\r', '  \n\n',
  '.,;:!?-_()[]{}<>|/\\\'"`~@#$%^&*+=', "'s't're've'm'll'd", 'äöüßéèñçøåæœ', 'привет мир ёжик',
  'αβγδεζηθ', 'אבגדהו', 'ابتثجح', 'कखगघङ\u094d\u0940', 'กขคฆง\u0e31\u0e48', '你好世界中文', 'こんにちはカナ',
  '안녕하세요', '\u0300\u0301\u0308', '\u00a0\u3000\u2028\u2003\u0085', '😀👍🏽👩‍👧🇩🇪', '٣४๕５Ⅷ½', 'ſK',
].map((s) => [...s]);

// Blocks that were complete long before Unicode 14: what was assigned later than a library knows is
// a letter to one and nothing to another.
const blocks = [
  [0x01, 0x24f], [0x250, 0x2af], [0x2b0, 0x36f], [0x3a3, 0x3ff], [0x400, 0x52f], [0x561, 0x586], [0x5d0, 0x5ea],
  [0x620, 0x6d3], [0x904, 0x939], [0x93c, 0x94d], [0xe01, 0xe3a], [0x10d0, 0x10fa], [0x1100, 0x11ff],
  [0x1200, 0x1248], [0x13a0, 0x13f4], [0x1400, 0x167f], [0x1680, 0x169c], [0x1780, 0x17dd], [0x1e00, 0x1eff],
  [0x2000, 0x2064], [0x2070, 0x2071], [0x20a0, 0x20b5], [0x2100, 0x218b], [0x2190, 0x23ff], [0x2460, 0x27ff],
  [0x2e80, 0x2e99], [0x3000, 0x303f], [0x3041, 0x30ff], [0x3400, 0x4db5], [0x4e00, 0x9fa5], [0xa000, 0xa48c],
  [0xac00, 0xd7a3], [0xe000, 0xf8ff], [0xfb50, 0xfbb1], [0xfe00, 0xfe0f], [0xfeff, 0xfeff], [0xff01, 0xffbe],
  [0x10330, 0x1034a], [0x10400, 0x1049d], [0x12000, 0x1236e], [0x1d400, 0x1d454], [0x1d7ce, 0x1d7ff],
  [0x1f1e6, 0x1f1ff], [0x1f300, 0x1f5ff], [0x20000, 0x2a6d6], [0xe0020, 0xe007f], [0xf0000, 0xffffd],
];

function codePoint(below) {
  const [first, last] = blocks[below(blocks.length)];
  return String.fromCodePoint(first + below(last - first + 1));
}

export function noise(seed, count) {
  const below = random(seed), out = [];
  for (let i = 0; i < count; i++) {
    let s = '';
    for (let runs = 1 + below(6); runs > 0; runs--) {
      if (below(4) === 0) {
        for (let n = 1 + below(6); n > 0; n--) s += codePoint(below);
      } else {
        const pool = pools[below(pools.length)];
        for (let n = 1 + below(10); n > 0; n--) s += pool[below(pool.length)];
      }
    }
    out.push(s);
  }
  return out;
}

// What Normalization Form C changes, what it leaves, and what SentencePiece reads as a space.
export const forms = [
  'e\u0301 E\u0301 a\u0323\u0302 a\u0302\u0323 \u1ea1\u0302 q\u0307\u0323 q\u0323\u0307', // orders of marks
  '\u212b \u2126 \u212a \u037e \u1fef \u2000\u2001 \u2329\u232a', // singletons
  '\u1100\u1161 \u1100\u1161\u11a8 \uac00\u11a8 \u1112\u1161\u11ab\u1100\u1173\u11af \u1100 \u1161\u11a8', // Hangul
  '\u0915\u093c \u0958 \u09c7\u09be \u0b47\u0b56 \u0dd9\u0dcf', // India and Ceylon, with exclusions
  '\ufb1d \ufb2a \u05e9\u05c1 \u2adc \u{1d15e} \u{1d1bb}', // exclusions
  '\ufb01 \u00bd \u33a8 \uff21 \u2460', // compatible, not canonical
  '\uf900 \u{2f800} \ufa10', // ideographs
  '<\u0338 >\u0338 =\u0338 a<\u0338b <|im_start|>\u0338', // marks behind ASCII
  '\u0301 \u0301\u0301 x\u0334\u0301 \u0344 \u0f73\u0f75', 'caf\u0065\u0301', '\u0308\u0301',
  '\u2581', '\u2581\u2581', 'a\u2581b', '\u2581a', ' \u2581 a', 'a \u2581', '\u2581 \u2581', 'a\u2581 b',
  '<0x0A>', '<0x41><0x42>', '<0x0a> <0xGG>', 'caf\u00e9<0xC3>', '\u0000', 'a\u0000b', '\u0001\u0002',
  '<s>', '</s>', '<s>a', 'a<s>', 'a <s> b', ' <s>', '<s> ', '<s><s>', '</s>a</s>', '<unk>', 'a<unk>b', '<s', 's>', '< s>',
  '<pad>', '<bos>a<eos>', '<start_of_turn>user\nhi<end_of_turn>\n', '<unused1>', '[multimodal]', '\n\n\n\n\n', '\t\t\t\t',
  '<b>x</b><table><tr><td>', '[INST] hi [/INST]', '<<SYS>>\nx\n<</SYS>>\n\n',
];

// Spaces and words in all amounts, and characters that few vocabularies have.
export function rareNoise(seed, count) {
  const below = random(seed), out = [];
  const parts = [' ', '  ', '   ', '    ', '                ', '\n', '\t', 'the', 'and', 'ing', 'Hello', 'world', '1', '23', '456', '7890',
    '.', ',', '!', '()', 'e\u0301', '\u0301', 'o\u0308\u0304', '\u1100\u1161\u11a8', '\u1161', '\u{1f600}', '\u{10437}', '\u{1f1e9}\u{1f1ea}',
    '\u{2a6d6}', '\ue000', '\u0e33', '\u0939\u093f', '\u06c1', '\u4f60\u597d', '\u304c', '\u304b\u3099', '\u2581', 'ß', 'ñ', 'n\u0303', 'ﬁ', '½', '²', '٣', 'Ⅳ',
    '<', '>', '|', '<s', '/s>', '</', 'def f(x):', '\r\n', '    return', '\u00a0', '\u3000', '\u200b', '\ufeff', '...', '——', '“', '”', "'s", "n't"];
  for (let i = 0; i < count; i++) {
    let s = '';
    for (let n = 1 + below(24); n > 0; n--) s += parts[below(parts.length)];
    out.push(s);
  }
  return out;
}
