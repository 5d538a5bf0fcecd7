// Any bytes as a GGUF file: opened, and if valid read whole. Findings become cases of
// src/gguf/hostile_test.cc.
#include "gguf/test_gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  edgewise::ExerciseBytes({reinterpret_cast<const char*>(data), size});
  return 0;
}
