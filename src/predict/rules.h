// The two decision rules of the documents, as they are written there, to be shown beside ours: the
// first asks about memory and speed one after the other, so a device that lacks both gets one
// answer; the second has the most careful methods for those who tolerate the most. What search.h
// and quality.h decide is recomputed.
#pragma once

#include <cstdint>

namespace edgewise {

enum class HardwareRule : uint8_t { kQuantize, kAccelerate, kCpu };
// "quantize", "accelerate", "cpu"
const char* NameOf(HardwareRule answer);
// What the documents advise then.
const char* AdviceOf(HardwareRule answer);
// Memory below 1.5 times the model: quantise. Else, if a token must come within 100 ms: accelerator
// and fused operators. Else the CPU, with care for its memory.
HardwareRule DecideHardware(double memory_bytes, double model_bytes, double seconds_per_token);

enum class QuantisationRule : uint8_t { kInt8Ptq, kInt4PtqOrInt8Qat, kMixedOrDynamic };
// "int8_ptq", "int4_ptq_or_int8_qat", "mixed_or_dynamic"
const char* NameOf(QuantisationRule answer);
const char* AdviceOf(QuantisationRule answer);
// By the loss of accuracy that is tolerated: below 1%, below 5%, more.
QuantisationRule DecideQuantisation(double tolerated_loss);

}  // namespace edgewise
