// The rows about devices, precisions, caches and rules of choice: formulas of predict/ and quant/.
#include <charconv>
#include <vector>

#include "base/error.h"
#include "golden_answers.h"
#include "predict/energy.h"
#include "predict/formulas.h"
#include "predict/request.h"
#include "predict/roofline.h"
#include "predict/rules.h"
#include "quant/uniform.h"

namespace edgewise {
namespace {

constexpr double kGiga = 1e9, kGib = 1 << 30, kMilli = 1e-3, kPercent = 100;

// "2,3"
std::vector<double> Numbers(const GoldenRow& row, const std::string& key) {
  const std::string& text = row.Text(key);
  std::vector<double> values(1);
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    const auto [rest, error] = std::from_chars(at, end, values.back());
    if (error == std::errc() && rest == end) return values;
    if (error != std::errc() || *rest != ',') {
      throw Error(ErrorCode::kBadFile, StrCat(key, " is no list of numbers: '", text, "'"));
    }
    values.emplace_back();
    at = rest + 1;
  }
}

uint32_t Small(const GoldenRow& row, const char* key) {
  const uint64_t value = row.Count(key);
  if (value <= 1u << 24) return static_cast<uint32_t>(value);
  throw Error(ErrorCode::kBadFile, StrCat(key, " is ", value, ": above 2^24"));
}

double Positive(const GoldenRow& row, const char* key) {
  const double value = row.Number(key);
  if (value > 0) return value;
  throw Error(ErrorCode::kBadFile, StrCat(key, " is ", value, ", not above 0"));
}

Answer Speedup(const GoldenRow& row) {
  return TwoResourceSpeedup(row.Number("t_comp"), row.Number("t_mem"), Positive(row, "s_comp"),
                            Positive(row, "s_mem"));
}

Answer TokensByMemory(const GoldenRow& row) {
  return TokensBoundByMemory(row.Number("bw") * kGiga, Positive(row, "gb") * kGiga);
}

Answer TokensPrinted(const GoldenRow& row) {
  return printed::TokensPerSecond(row.Number("bw") * kGiga, Positive(row, "P") * kGiga,
                                  Positive(row, "bytes"), Positive(row, "B"));
}

Answer WeightGb(const GoldenRow& row) {
  return NominalWeightBytes(row.Number("params"), row.Number("bits")) / kGiga;
}

Answer ParametersPrinted(const GoldenRow& row) {
  return printed::Parameters(row.Number("L"), row.Number("d"), row.Number("V"));
}

double KvPrinted(const GoldenRow& row) {
  return printed::KvBytes(row.Number("L"), row.Number("d"), row.Number("bytes"));
}

double KvToken(const GoldenRow& row) {
  return NominalKvBytes(Small(row, "L"), Small(row, "kvh"), Small(row, "hd"), row.Number("bits"));
}

Answer KvShare(const GoldenRow& row) {
  return PositionsForKvShare(row.Number("wbytes"), row.Number("share"), Positive(row, "kvtok"));
}

Answer PeakActivation(const GoldenRow& row) {
  return PeakActivationBytes(row.Number("seq"), row.Number("d"), row.Number("ff"), row.Number("bytes"));
}

struct Rounding {
  explicit Rounding(const GoldenRow& row)
      : x(row.Number("x")), scale(Positive(row, "scale")), most(static_cast<double>(row.Count("qmax"))) {}
  double x, scale, most;
};

Answer QuantCode(const GoldenRow& row) {
  const Rounding r(row);
  return UniformCode(r.x, r.scale, r.most);
}

Answer QuantError(const GoldenRow& row) {
  const Rounding r(row);
  return UniformError(r.x, r.scale, r.most);
}

Answer QuantRelativeError(const GoldenRow& row) {
  const Rounding r(row);
  return UniformError(r.x, r.scale, r.most) / std::abs(r.x) * kPercent;
}

Answer ErrorBound(const GoldenRow& row) {
  const std::vector<double> norms = Numbers(row, "W"), errors = Numbers(row, "eps");
  if (norms.size() != errors.size()) throw Error(ErrorCode::kBadFile, "W and eps differ in length");
  return PropagatedError(norms, errors);
}

Answer Distillation(const GoldenRow& row) {
  const std::vector<double> teacher = Numbers(row, "t"), student = Numbers(row, "s");
  const uint64_t right = row.Count("y");
  if (teacher.size() != student.size() || right >= student.size()) {
    throw Error(ErrorCode::kBadFile, "t and s differ in length, or y is none of them");
  }
  return DistillationLoss(teacher, student, right, row.Number("alpha"), Positive(row, "T"));
}

Answer FlashIo(const GoldenRow& row) {
  return FlashAttentionElements(row.Number("N"), row.Number("d"), Positive(row, "M"));
}

Answer StandardIo(const GoldenRow& row) {
  return StandardAttentionElements(row.Number("N"), row.Number("d"));
}

Answer DecideHw(const GoldenRow& row) {
  return std::string(NameOf(DecideHardware(row.Number("mem_gb") * kGiga, row.Number("model_gb") * kGiga,
                                           row.Number("need_ms") * kMilli)));
}

Answer DecideQuant(const GoldenRow& row) {
  return std::string(NameOf(DecideQuantisation(row.Number("loss_pct") / kPercent)));
}

Answer Intensity(const GoldenRow& row) { return GemmIntensity(row.Number("n"), Positive(row, "bytes")); }

Answer MatrixBytes(const GoldenRow& row) { return GemmBytes(row.Number("n"), row.Number("bytes")); }

Answer IntensityOfDecode(const GoldenRow& row) {
  return DecodeIntensity(row.Number("B"), Positive(row, "bytes"));
}

Answer Attain(const GoldenRow& row) {
  return Attainable(row.Number("F"), row.Number("BW"), row.Number("oi"));
}

Answer Ridge(const GoldenRow& row) {
  return RidgeBatch(row.Number("F"), Positive(row, "BW"), row.Number("bytes"));
}

Answer EndToEndTime(const GoldenRow& row) {
  return EndToEnd(row.Number("ttft"), Small(row, "n"), row.Number("tpot"));
}

Answer Mix(const GoldenRow& row) {
  return ShareForMean(row.Number("target"), row.Number("lo"), row.Number("hi"));
}

Answer Fits(const GoldenRow& row) {
  MemoryFit fit;
  fit.need.weights = static_cast<uint64_t>(row.Number("w") * kGiga);
  fit.need.kv = static_cast<uint64_t>(row.Number("kv") * kGiga);
  fit.usable_bytes = row.Number("mem") * kGiga;
  return std::string(fit.fits() ? "yes" : "no");
}

constexpr GoldenOp kFormulaOps[] = {
    {"two_resource_speedup", Speedup},
    {"tps_mem", TokensByMemory},
    {"tps_mem_printed", TokensPrinted},
    {"weight_gb", WeightGb},
    {"params_formula", ParametersPrinted},
    {"kv_formula", [](const GoldenRow& row) -> Answer { return KvPrinted(row); }},
    {"kv_formula_ctx", [](const GoldenRow& row) -> Answer { return KvPrinted(row) * row.Number("ctx"); }},
    {"kv_token", [](const GoldenRow& row) -> Answer { return KvToken(row); }},
    {"kv_gib", [](const GoldenRow& row) -> Answer { return KvToken(row) * row.Number("ctx") / kGib; }},
    {"kv_ctx_for_share", KvShare},
    {"act_peak", PeakActivation},
    {"energy_j", [](const GoldenRow& row) -> Answer { return Joules(row.Number("n"), row.Number("pj")); }},
    {"quant_code", QuantCode},
    {"quant_err", QuantError},
    {"quant_relerr", QuantRelativeError},
    {"err_bound", ErrorBound},
    {"kd", Distillation},
    {"flash_io", FlashIo},
    {"std_attn_io", StandardIo},
    {"decide_hw", DecideHw},
    {"decide_quant", DecideQuant},
    {"gemm_oi", Intensity},
    {"gemm_bytes", MatrixBytes},
    {"decode_oi", IntensityOfDecode},
    {"attain", Attain},
    {"ridge_batch", Ridge},
    {"e2e", EndToEndTime},
    {"mix_share", Mix},
    {"fits", Fits},
};

}  // namespace

std::span<const GoldenOp> FormulaOps() { return kFormulaOps; }

}  // namespace edgewise
