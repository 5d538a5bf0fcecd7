// A GGUF file with random weights in a model's shapes: to measure a machine without the model. Its
// text means nothing; its speed and memory are those of the real file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "model/shapes.h"
#include "quant/dtype.h"

namespace edgewise {

struct SynthOptions {
  std::string type = "Q4_0";  // a tensor type or a recipe of quant/recipe.h
  bool pure = false;          // every matrix in the same type
  uint64_t seed = 1;          // the same options give the same file, byte for byte
  int threads = 1;
};

struct SynthReport {
  uint64_t parameters = 0;
  uint64_t tensors = 0;
  uint64_t weight_bytes = 0;
  std::vector<std::string> notes;  // as TensorTypes::notes()
};

// Weights are random with deviation 1 / sqrt(row length), norms near 1, biases small, so
// activations and logits stay near 1 through any number of layers. No larger: what rounding
// activations to 8 bits changes in a random network's distribution grows with the square of its
// logits.
//
// Throws Error(kUsage) for a shape that CheckShape() refuses, a type that is none, a vocabulary
// below kLeastVocabulary; Error(kIo) when the file cannot be written. The file appears whole or not
// at all. progress: bytes of weights written, of how many; on the caller's thread.
SynthReport Synthesize(const ModelShape& shape, const std::string& path,
                       const SynthOptions& options,
                       FunctionRef<void(uint64_t done, uint64_t total)> progress);

// An SPM vocabulary that tokenises any text: <unk>, <s>, </s>, the 256 bytes, the space mark and
// printable ASCII, then made-up words of two letters, of three, and so on up to the size. A word's
// beginning and end are words too, so that merging reaches it.
struct SynthVocabulary {
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<int32_t> types;  // tokenizer.ggml.token_type
};
inline constexpr uint32_t kLeastVocabulary = 3 + 256 + 95;
SynthVocabulary MakeSynthVocabulary(uint32_t size);
// Bytes of its tokens' texts together, without making them.
uint64_t SynthTextBytes(uint32_t size);

}  // namespace edgewise
