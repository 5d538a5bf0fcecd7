#include "predict/rules.h"

namespace edgewise {

const char* NameOf(HardwareRule answer) {
  switch (answer) {
    case HardwareRule::kQuantize: return "quantize";
    case HardwareRule::kAccelerate: return "accelerate";
    case HardwareRule::kCpu: return "cpu";
  }
  return "";
}

const char* AdviceOf(HardwareRule answer) {
  switch (answer) {
    case HardwareRule::kQuantize: return "quantise, and prune or distil if that is not enough";
    case HardwareRule::kAccelerate: return "an accelerator, fused operators, FlashAttention";
    case HardwareRule::kCpu: return "the CPU, with a good memory access pattern";
  }
  return "";
}

HardwareRule DecideHardware(double memory_bytes, double model_bytes, double seconds_per_token) {
  if (memory_bytes < 1.5 * model_bytes) return HardwareRule::kQuantize;
  return seconds_per_token < 0.1 ? HardwareRule::kAccelerate : HardwareRule::kCpu;
}

const char* NameOf(QuantisationRule answer) {
  switch (answer) {
    case QuantisationRule::kInt8Ptq: return "int8_ptq";
    case QuantisationRule::kInt4PtqOrInt8Qat: return "int4_ptq_or_int8_qat";
    case QuantisationRule::kMixedOrDynamic: return "mixed_or_dynamic";
  }
  return "";
}

const char* AdviceOf(QuantisationRule answer) {
  switch (answer) {
    case QuantisationRule::kInt8Ptq: return "INT8 after training (AWQ, SmoothQuant)";
    case QuantisationRule::kInt4PtqOrInt8Qat: return "INT4 after training, or INT8 trained for it";
    case QuantisationRule::kMixedOrDynamic:
      return "mixed or dynamic precision, sensitive layers in more bits";
  }
  return "";
}

QuantisationRule DecideQuantisation(double tolerated_loss) {
  if (tolerated_loss < 0.01) return QuantisationRule::kInt8Ptq;
  return tolerated_loss < 0.05 ? QuantisationRule::kInt4PtqOrInt8Qat : QuantisationRule::kMixedOrDynamic;
}

}  // namespace edgewise
