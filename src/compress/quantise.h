// One GGUF file to another type, without calibration data.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "gguf/gguf.h"
#include "quant/dtype.h"

namespace edgewise {

struct QuantiseOptions {
  std::string type = "Q4_K_M";  // a tensor type or a recipe of quant/recipe.h
  bool pure = false;            // every matrix in the same type
  int threads = 1;
};

struct QuantiseReport {
  uint64_t tensors = 0, weights = 0;
  uint64_t bytes_before = 0, bytes_after = 0;  // of tensor data
  std::map<DType, uint64_t> tensors_by_type;   // written
  std::vector<std::string> notes;              // as TensorTypes::notes()
};

// Writes `source`, which may be a split file of any supported types, to `path` as one file;
// metadata is copied, general.file_type and general.quantization_version are set. Vectors become
// F32; a tensor that keeps its type is copied. Memory: two windows of rows and one row of floats
// per thread.
//
// Throws Error(kUsage): no such type, or `path` is one of the source's own files; Error(kBadFile)
// at a weight that is NaN or infinite, naming tensor and row; Error(kIo). The file appears whole or
// not at all. progress: bytes of tensor data written, of how many; on the caller's thread.
QuantiseReport Quantise(const Gguf& source, const std::string& path, const QuantiseOptions& options,
                        FunctionRef<void(uint64_t done, uint64_t total)> progress);

}  // namespace edgewise
