"""Text and vocabulary of the bundled model: cleaning, SPM-style BPE, encoding.

The vocabulary is of the kind GGUF calls "llama" (SentencePiece BPE): a space is U+2581, a text
starts with one, characters without a piece of their own become byte tokens, and a tokenizer merges,
greedily by score, ANY neighbours whose concatenation is a piece. That last rule differs from
replaying BPE merges, so `Vocabulary.encode` follows it to the letter: the model must be trained on
the very tokens it will meet.
"""

import collections
import re

SPACE = "\u2581"
UNKNOWN, BOS, EOS = 0, 1, 2
FIRST_BYTE = 3  # token of byte b is FIRST_BYTE + b
FIRST_PIECE = FIRST_BYTE + 256

# A piece never leaves its chunk: words with the space before them, runs of punctuation, single
# digits, line ends. Greedy merging can then be done, and remembered, chunk by chunk.
_CHUNK = re.compile(rf"{SPACE}?[A-Za-z]+|{SPACE}?[^A-Za-z0-9{SPACE}\n]+|[0-9]|{SPACE}|\n")

_TO_ASCII = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"',
                           "\u2014": "--", "\u2013": "-", "\u2026": "...", "`": "'", "_": ""})


def read_documents(path):
    """The stories or chapters of a text file, each a list of paragraphs.

    Project Gutenberg's header and footer go; prose is unwrapped to one line a paragraph, indented
    lines (verse) keep their ends. Three or more blank lines separate documents.
    """
    with open(path, encoding="utf-8-sig", newline=None) as file:
        text = file.read()
    body = re.search(r"\*\*\* ?START OF [^\n]*\n(.*?)(?=\nEnd of (?:the )?Project Gutenberg"
                     r"|\n\*\*\* ?END OF )", text, re.DOTALL)
    is_book = body is not None
    if is_book:
        text = body.group(1).translate(_TO_ASCII)
    documents = []
    for document in re.split(r"\n(?:[ \t]*\n){3,}", text):
        paragraphs = [_clean(p, is_book) for p in re.split(r"\n(?:[ \t]*\n)+", document)]
        paragraphs = [p for p in paragraphs if re.search("[a-z]", p)]  # Not: rulers, bare numbers.
        if not is_book or _is_story(paragraphs):
            documents.append(paragraphs)
    return documents


def _is_story(paragraphs):
    """Not: title pages, credits, tables of contents, a collector's notes on his sources."""
    return (sum(map(len, paragraphs)) >= 1000
            and not re.match("Produced by|Source|Parallels", paragraphs[0]))


def _clean(paragraph, is_book):
    if not is_book:
        return paragraph.strip("\n")
    paragraph = re.sub(r"\[[^\]]*\]|\(\d+\)|\*", "", paragraph)  # Editorial marks.
    lines = paragraph.split("\n")
    is_verse = any(line.startswith("  ") for line in lines)
    return ("\n" if is_verse else " ").join(" ".join(line.split()) for line in lines).strip()


def train_vocabulary(texts, size):
    """Byte-pair merges learnt on `texts`; returns a Vocabulary of exactly `size` tokens."""
    counts = collections.Counter()
    for text in texts:
        counts.update(_CHUNK.findall(SPACE + text.replace(" ", SPACE)))
    letters = collections.Counter()
    for chunk, count in counts.items():
        for letter in chunk:
            letters[letter] += count
    # Rarer characters are left to the byte tokens: 20 sightings train no embedding.
    alphabet = sorted(c for c, count in letters.items() if count >= 20 and c != "\n")

    words = [list(chunk) for chunk in counts]
    frequency = list(counts.values())
    pairs = collections.Counter()
    where = collections.defaultdict(set)

    def count_pairs(index, sign):
        for pair in zip(words[index], words[index][1:]):
            if all(c in letters for piece in pair for c in piece):
                pairs[pair] += sign * frequency[index]
                where[pair].add(index)

    for index in range(len(words)):
        count_pairs(index, +1)
    merged = []
    known = set(alphabet)
    while len(merged) < size - FIRST_PIECE - len(alphabet):
        left, right = max(pairs, key=lambda pair: (pairs[pair], pair))
        piece = left + right
        for index in sorted(where.pop((left, right))):
            count_pairs(index, -1)
            words[index] = _join(words[index], left, right)
            count_pairs(index, +1)
        del pairs[left, right]
        if piece not in known:  # "th"+"e" after "t"+"he": one piece, its better rank stays.
            known.add(piece)
            merged.append(piece)
    return Vocabulary(merged + alphabet)


def _join(symbols, left, right):
    joined = []
    for symbol in symbols:
        if joined and joined[-1] == left and symbol == right:
            joined[-1] = left + right
        else:
            joined.append(symbol)
    return joined


class Vocabulary:
    """Pieces in order of merging, then single characters; a piece's score is minus its rank."""

    def __init__(self, pieces):
        self.pieces = pieces
        self._rank = {piece: rank for rank, piece in enumerate(pieces)}
        self._cache = {}

    def __len__(self):
        return FIRST_PIECE + len(self.pieces)

    def tokens(self):
        """(text, score, GGUF token type) of every token, in order of id."""
        yield "<unk>", 0.0, 2
        yield "<s>", 0.0, 3
        yield "</s>", 0.0, 3
        for byte in range(256):
            yield f"<0x{byte:02X}>", 0.0, 6
        for rank, piece in enumerate(self.pieces):
            yield piece, float(-rank), 1

    def split(self, text):
        return _CHUNK.findall(text.replace(" ", SPACE))

    def encode_chunk(self, chunk):
        if chunk not in self._cache:
            self._cache[chunk] = self._merge(list(chunk))
        return self._cache[chunk]

    def _merge(self, symbols):
        while True:
            ranked = [(self._rank.get(a + b), i)
                      for i, (a, b) in enumerate(zip(symbols, symbols[1:]))]
            ranked = [entry for entry in ranked if entry[0] is not None]
            if not ranked:
                break
            _, i = min(ranked)  # Best score first, then leftmost.
            symbols[i:i + 2] = [symbols[i] + symbols[i + 1]]
        ids = []
        for symbol in symbols:
            if symbol in self._rank:
                ids.append(FIRST_PIECE + self._rank[symbol])
            else:
                ids.extend(FIRST_BYTE + byte for byte in symbol.encode())
        return ids

    def encode(self, text):
        """Ids of a whole text: with the space before it, without BOS."""
        return [i for chunk in self.split(SPACE + text) for i in self.encode_chunk(chunk)]

    def decode(self, ids):
        out = b""
        for i in ids:
            if i >= FIRST_PIECE:
                out += self.pieces[i - FIRST_PIECE].replace(SPACE, " ").encode()
            elif i >= FIRST_BYTE:
                out += bytes([i - FIRST_BYTE])
        return out.decode(errors="replace")
