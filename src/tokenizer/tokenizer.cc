#include "tokenizer/tokenizer.h"

#include "base/error.h"
#include "tokenizer/bpe.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/special_matcher.h"
#include "tokenizer/spm.h"
#include "tokenizer/vocabulary.h"

namespace edgewise {
namespace {

constexpr const char* kModelKey = "tokenizer.ggml.model";

enum class Model { kSpm, kBpe };

Model ModelOf(const Gguf& file) {
  const std::string_view name = file.String(kModelKey);
  if (name == "llama") return Model::kSpm;
  if (name == "gpt2") return Model::kBpe;
  throw Error(ErrorCode::kUnsupported,
              StrCat(file.path(), ": tokenizer '", Printable(name), "' (", kModelKey,
                     ") is not supported; supported are llama (SPM) and gpt2 (BPE)"));
}

// add_bos, add_eos, add_space_prefix: the file's word, else the model's habit.
void ReadAdditions(const Gguf& file, bool spm, bool default_bos, Vocabulary& vocabulary) {
  vocabulary.add_space_prefix = file.Bool("tokenizer.ggml.add_space_prefix", spm) && spm;
  const auto read = [&](const char* key, bool habit, TokenId id, const char* id_key) {
    const bool add = file.Bool(key, habit);
    if (add && id < 0 && file.Find(key) != nullptr) {
      throw Error(ErrorCode::kBadFile,
                  StrCat(file.path(), ": ", key, " is true, but ", id_key, " names no token"));
    }
    return add && id >= 0;
  };
  vocabulary.add_bos = read("tokenizer.ggml.add_bos_token", default_bos, vocabulary.bos,
                            "tokenizer.ggml.bos_token_id");
  vocabulary.add_eos =
      read("tokenizer.ggml.add_eos_token", false, vocabulary.eos, "tokenizer.ggml.eos_token_id");
}

}  // namespace

Tokenizer::Tokenizer(Vocabulary vocabulary)
    : vocabulary_(std::make_unique<const Vocabulary>(std::move(vocabulary))),
      special_(std::make_unique<const SpecialMatcher>(*vocabulary_)) {}

Tokenizer::~Tokenizer() = default;

std::unique_ptr<const Tokenizer> Tokenizer::FromGguf(const Gguf& file) {
  const bool spm = ModelOf(file) == Model::kSpm;
  Vocabulary vocabulary(file);
  if (spm) {
    ReadAdditions(file, spm, /*default_bos=*/true, vocabulary);
    return std::make_unique<const SpmTokenizer>(file, std::move(vocabulary));
  }
  PreTokenizer pre_tokenizer(file.String("tokenizer.ggml.pre", "default"), file.path());
  ReadAdditions(file, spm, pre_tokenizer.add_bos(), vocabulary);
  return std::make_unique<const BpeTokenizer>(file, std::move(vocabulary),
                                              std::move(pre_tokenizer));
}

uint64_t Tokenizer::PlanMemoryBytes(const Gguf& file) {
  return Vocabulary::PlanMemoryBytes(file) + SpecialMatcher::PlanMemoryBytes(file) +
         sizeof(SpecialMatcher) +
         (ModelOf(file) == Model::kSpm ? SpmTokenizer::PlanModelBytes(file)
                                       : BpeTokenizer::PlanModelBytes(file));
}

uint64_t Tokenizer::PlanSpmBytes(uint64_t tokens, uint64_t text_bytes) {
  return Vocabulary::PlanMemoryBytes(tokens, text_bytes) + sizeof(SpecialMatcher) +
         SpmTokenizer::PlanModelBytes(tokens);
}

size_t Tokenizer::MemoryBytes() const {
  return vocabulary_->MemoryBytes() + special_->MemoryBytes() + sizeof(SpecialMatcher) +
         ModelBytes();
}

std::vector<TokenId> Tokenizer::Encode(std::string_view text, const EncodeOptions& options) const {
  if (text.size() > kMaxTextBytes) {
    throw Error(ErrorCode::kLimit,
                StrCat("a text of ", HumanBytes(text.size()), " to tokenise; the limit is ",
                       HumanBytes(kMaxTextBytes), ": give it in parts"));
  }
  const Vocabulary& v = *vocabulary_;
  std::vector<TokenId> ids;
  if (options.add_special && v.add_bos) ids.push_back(v.bos);
  bool after_special = true;
  for (const auto& [begin, end, token] : special_->Split(v, text, options.parse_special)) {
    if (token >= 0) {
      ids.push_back(token);
    } else {
      EncodeText(text.substr(begin, end - begin), after_special, ids);
    }
    after_special = token >= 0;
  }
  if (options.add_special && v.add_eos) ids.push_back(v.eos);
  return ids;
}

std::string Tokenizer::Piece(TokenId id, bool special) const {
  std::string piece;
  if (!vocabulary_->Has(id)) return piece;
  const std::string_view text = vocabulary_->Text(id);
  switch (vocabulary_->Type(id)) {
    case TokenType::kNormal:
      AppendNormal(id, piece);
      break;
    case TokenType::kUserDefined:
      piece = text;
      break;
    case TokenType::kControl:
    case TokenType::kUnknown:
      if (special) piece = text;
      break;
    case TokenType::kByte:
      piece.push_back(static_cast<char>(ByteOfTokenText(text)));
      break;
    case TokenType::kUndefined:
    case TokenType::kUnused:
      break;
  }
  return piece;
}

std::string Tokenizer::Decode(std::span<const TokenId> ids, bool special) const {
  std::string text;
  // Encode put a space in front of the text unless a user-defined token came first.
  bool strip = vocabulary_->add_space_prefix;
  for (const TokenId id : ids) {
    const std::string piece = Piece(id, special);
    const TokenType type = Type(id);
    const bool prefixed = strip && type == TokenType::kNormal && piece.starts_with(' ');
    text.append(piece, prefixed ? 1 : 0, std::string::npos);
    if (type != TokenType::kControl) strip = false;
  }
  return text;
}

uint32_t Tokenizer::size() const { return vocabulary_->size(); }

std::string_view Tokenizer::Text(TokenId id) const {
  return vocabulary_->Has(id) ? vocabulary_->Text(id) : std::string_view();
}

TokenType Tokenizer::Type(TokenId id) const {
  return vocabulary_->Has(id) ? vocabulary_->Type(id) : TokenType::kUndefined;
}

TokenId Tokenizer::Find(std::string_view stored_text) const {
  return vocabulary_->Find(stored_text);
}

TokenId Tokenizer::bos() const { return vocabulary_->bos; }
TokenId Tokenizer::eos() const { return vocabulary_->eos; }
TokenId Tokenizer::eot() const { return vocabulary_->eot; }
bool Tokenizer::add_bos() const { return vocabulary_->add_bos; }

bool Tokenizer::IsEndOfGeneration(TokenId id) const { return vocabulary_->IsEndOfGeneration(id); }

}  // namespace edgewise
