#include "cli/plan_exercises.h"

#include <cmath>
#include <functional>
#include <vector>

#include "base/strings.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/plan_report.h"
#include "cli/table.h"
#include "cli/text.h"
#include "predict/battery.h"
#include "predict/energy.h"
#include "predict/scenario.h"
#include "quant/codec.h"
#include "quant/uniform.h"

namespace edgewise {
namespace {

constexpr auto kAtCeilings = [](const Device&, std::string_view) {
  PredictOptions options;
  options.efficiency = Ceiling();
  return options;
};

// A device of which only the bandwidth is said.
Device OnlyBandwidth(double bytes_s) {
  Device device = DocumentsPhone();
  device.name = "100-gb-s";
  device.title = "a memory of 100 GB/s, arithmetic without end";
  device.int8_ops_s->value = device.f16_ops_s->value = device.f32_ops_s->value = 1e18;
  device.memory_bytes.value = 64e9;
  device.memory_bytes_s.value = bytes_s;
  return device;
}

int Exercise2(const PlanFlags& asked) {
  PlanFlags flags = asked;
  flags.model = "llama2-7b";
  PlanSetup setup(flags);
  const Device device = OnlyBandwidth(100e9);
  Ceilings ceilings(setup);
  Evaluator& evaluator = ceilings.evaluator();
  const double theirs = device.memory_bytes_s.value / 7e9;  // the document's premise: 7 GB
  Table table({"<our 7B (llama2-7b, every byte counted)", "tok/s"});
  Json ours = Json::Array();
  struct Case {
    const char* what;
    const char* recipe;
    uint32_t prompt;
  };
  for (const Case& one : {Case{"Q8_0 (8.5 bits with its scales), empty cache", "Q8_0", 1},
                          Case{"the same, F16 KV cache of 2048 positions", "Q8_0", 2047}}) {
    Configuration c = {.model = setup.IndexOf("llama2-7b"), .recipe = one.recipe};
    c.usage.prompt = one.prompt;
    c.usage.generate = 1;
    const double tok_s = evaluator.Evaluate(device, c).figures.tok_s;
    table.Add({one.what, Number(tok_s, "%.1f")});
    Json json = Json::Object();
    json.Set("what", one.what).Set("tok_s", tok_s);
    ours.Push(std::move(json));
  }
  if (flags.json) {
    Json json = Json::Object();
    json.Set("preset", "exercise-2")
        .Set("claimed_tok_s", 14.3)
        .Set("tok_s", theirs)
        .Set("ours", std::move(ours));
    json.Print();
    return 0;
  }
  Write(StrCat(Bold("exercise-2"),
               ": 7B in INT8 at 100 GB/s, bound by memory.\nThe documents: 14.3 tokens/s. ",
               "Right: 100 GB/s over 7 GB a token are ", Number(theirs, "%.1f"), " tokens/s.\n",
               table.ToText(), "The same chapter's \"14 GB a token (INT8 and KV), 7 tokens/s\" is F16.\n"));
  return 0;
}

int Exercise5(const PlanFlags& flags) {
  const Battery battery = {.ampere_hours = 3, .volts = 3.7};
  struct Case {
    const char* what;
    double watts;
    const char* claim;
  };
  const Case cases[] = {
      {"3 W", 3, "3.7 h"},
      {"1.5 W", 1.5, "7.4 h: twice"},
      {"3 W for half of the work, 1.5 W for the other", DutyCycleWatts(3, 1.5, 0.5),
       "\"mean 2 W\", about 5.55 h"},
      {"3 W for a third of the work, 1.5 W for two thirds",
       DutyCycleWatts(3, 1.5, 1 - ShareForMean(2, 1.5, 3)), ""},
      {"3 W a quarter of the time, 0.1 W asleep for the rest", DutyCycleWatts(3, 0.1, 0.25), "intermittent"},
      {"0.7 of the clock, 0.3 W idle (voltage with it)", DvfsWatts(3, 0.3, 0.7), "DVFS"},
  };
  Table table({"<", "mean W", "hours", "<the documents"});
  Json list = Json::Array();
  for (const Case& one : cases) {
    const double hours = BatteryHours(battery, one.watts);
    table.Add({one.what, Number(one.watts, "%.3g"), Number(hours, "%.3g"), one.claim});
    Json json = Json::Object();
    json.Set("what", one.what).Set("mean_watts", one.watts).Set("hours", hours).Set("claim", one.claim);
    list.Push(std::move(json));
  }
  if (flags.json) {
    Json json = Json::Object();
    json.Set("preset", "exercise-5").Set("watt_hours", battery.watt_hours()).Set("hours", std::move(list));
    json.Print();
    return 0;
  }
  Write(StrCat(Bold("exercise-5"), ": a battery of 3000 mAh at 3.7 V, ",
               Number(battery.watt_hours(), "%.1f Wh"), ".\n", table.ToText(),
               "A mean of 2 W needs two thirds of the work at 1.5 W, not half of it.\n"));
  return 0;
}

int Exercise6(const PlanFlags& asked) {
  PlanFlags flags = asked;
  flags.model = "llama2-7b";
  PlanSetup setup(flags);
  Device device = DocumentsPhone();
  device.memory_bytes.value = 16e9;
  Ceilings ceilings(setup);
  Evaluator& evaluator = ceilings.evaluator();
  Configuration base = {.model = setup.IndexOf("llama2-7b"), .recipe = "F16"};
  base.usage.prompt = base.usage.generate = 128;
  struct Case {
    const char* what;
    const char* claim;
    std::function<void(Configuration&)> apply;
  };
  const Case cases[] = {
      {"INT8 (Q8_0)", "2x", [](Configuration& c) { c.recipe = "Q8_0"; }},
      {"INT4 (Q4_0)", "4x", [](Configuration& c) { c.recipe = "Q4_0"; }},
      {"speculation, 4 proposed, 60% right (assumed)", "1.5 to 2x",
       [](Configuration& c) {
         c.usage.draft_tokens = 4;
         c.usage.acceptance = 0.6;
       }},
      {"INT8 and that speculation", "",
       [](Configuration& c) {
         c.recipe = "Q8_0";
         c.usage.draft_tokens = 4;
         c.usage.acceptance = 0.6;
       }},
  };
  const Candidate now = evaluator.Evaluate(device, base);
  Table table({"<", "tok/s", "", "<the documents"});
  table.Add({"F16", RateText(now.figures.tok_s), "", ""});
  Json list = Json::Array();
  for (const Case& one : cases) {
    Configuration c = base;
    one.apply(c);
    const Candidate after = evaluator.Evaluate(device, c);
    const double gain = after.figures.tok_s / now.figures.tok_s;
    table.Add({one.what, RateText(after.figures.tok_s), Number(gain, "%.2fx"), one.claim});
    Json json = Json::Object();
    json.Set("what", one.what).Set("gain", gain).Set("claim", one.claim).Set("ppl_loss", after.figures.loss);
    list.Push(std::move(json));
  }
  if (flags.json) {
    Json json = Json::Object();
    json.Set("preset", "exercise-6").Set("gains", std::move(list));
    json.Print();
    return 0;
  }
  Write(StrCat(
      Bold("exercise-6"), ": four times as fast, llama2-7b decoding on ", device.title,
      ", each change priced anew.\n", table.ToText(),
      "The documents multiply INT8 (2) x FlashAttention (1.5) x a light pruning (1.3) to about 4. Factors "
      "multiply\nonly where they act on the same bottleneck: FlashAttention saves scratch traffic of prefill "
      "and "
      "gives a decoded\ntoken nothing, as its time goes into reading weights. Our attention is of that kind "
      "already.\n"));
  return 0;
}

int RaspberryPi(const PlanFlags& asked) {
  PlanFlags flags = asked;
  flags.model = "llama1-7b";
  PlanSetup setup(flags);
  Device device = setup.DeviceNamed("rpi4", {});
  device.memory_bytes.value = 4e9;  // the documents' model of it
  device.free_bytes.reset();
  Configuration c = {.model = setup.IndexOf("llama1-7b"), .recipe = "Q4_0"};
  c.usage.prompt = c.usage.generate = 128;
  const Prediction paging = setup.evaluator().PredictionOf(device, c);
  Device roomy = device;
  roomy.memory_bytes.value = 8e9;
  const Prediction resident = setup.evaluator().PredictionOf(roomy, c);
  const MemoryFit& fit = paging.memory;
  const double again = (1 - fit.resident_share) * static_cast<double>(fit.need.weights);
  if (flags.json) {
    Json json = Json::Object();
    json.Set("preset", "raspberry-pi")
        .Set("claimed_tok_s", 0.1)
        .Set("tok_s", paging.tok_s)
        .Set("bound", NameOf(paging.bound))
        .Set("resident_share", fit.resident_share)
        .Set("paged_bytes", again)
        .Set("tok_s_with_8_gb", resident.tok_s)
        .Set("bound_with_8_gb", NameOf(resident.bound));
    json.Print();
    return 0;
  }
  Write(StrCat(
      Bold("raspberry-pi"),
      ": 7B in 4 bits on a Raspberry Pi 4 of 4 GB.\nThe documents: 2 tokens/s in theory, "
      "0.1 measured; the arithmetic is suspected.\nOurs: ",
      GigabyteText(static_cast<double>(fit.need.total())), " do not fit the ", GigabyteText(fit.usable_bytes),
      " that are usable. ", GigabyteText(again), " of the weights are read from storage at ",
      GigabyteText(device.storage_bytes_s ? device.storage_bytes_s->value : 0),
      "/s again for every token:\n  ", RateText(paging.tok_s), " tok/s, bound by ", NameOf(paging.bound),
      ".\nThe same board with 8 GB: ", RateText(resident.tok_s), " tok/s, bound by ", NameOf(resident.bound),
      ". It is paging, not arithmetic. (0.1 tokens/s of 3.5 GB are 0.35 GB/s: the rate of a disk.)\n"));
  return 0;
}

// Neon against HVX: what is compared is four cores with four pipes against a unit of vectors and matrices.
int Exercise1(const PlanFlags& asked) {
  PlanFlags flags = asked;
  flags.model = "tinyllama-1.1b";
  PlanSetup setup(flags);
  Ceilings ceilings(setup);
  Configuration c = {.model = setup.IndexOf("tinyllama-1.1b"), .recipe = "Q8_0"};
  struct Case {
    const char* device;
    const char* what;
    double vector_bits;  // as the documents have them
  };
  const Case cases[] = {{"cortex-a76", "NEON, 4 cores", 128},
                        {"hexagon-698", "HVX and its matrix unit", 1024}};
  Table table({"<", "<device", "bits", "int8 Top/s", "GB/s", "prefill tok/s", "<bound by", "decode tok/s",
               "<bound by"});
  Json list = Json::Array();
  std::vector<Prediction> predictions;
  for (const Case& one : cases) {
    const Device device = setup.DeviceNamed(one.device, {});
    const Prediction p = ceilings.evaluator().PredictionOf(device, c);
    predictions.push_back(p);
    const double peak = device.int8_ops_s->value;
    table.Add({one.what, one.device, Number(one.vector_bits, "%.0f"), Number(peak / 1e12, "%.3g"),
               Number(device.memory_bytes_s.value / 1e9, "%.3g"), RateText(p.prefill_tok_s),
               NameOf(p.prefill.total.bound()), RateText(p.tok_s), NameOf(p.bound)});
    Json json = Json::Object();
    json.Set("device", one.device).Set("vector_bits", one.vector_bits).Set("int8_ops_s", peak);
    json.Set("memory_bytes_s", device.memory_bytes_s.value).Set("prefill_tok_s", p.prefill_tok_s);
    json.Set("decode_tok_s", p.tok_s);
    list.Push(std::move(json));
  }
  const double width = cases[1].vector_bits / cases[0].vector_bits;
  const double prefill = predictions[1].prefill_tok_s / predictions[0].prefill_tok_s;
  const double decode = predictions[1].tok_s / predictions[0].tok_s;
  if (flags.json) {
    Json json = Json::Object();
    json.Set("preset", "exercise-1").Set("claimed_width_ratio", 8.0).Set("width_ratio", width);
    json.Set("prefill_ratio", prefill).Set("decode_ratio", decode).Set("devices", std::move(list));
    json.Print();
    return 0;
  }
  Write(StrCat(
      Bold("exercise-1"),
      ": NEON's vectors against HVX's, for language models.\nThe documents: 128 and 1024 bits, 8 times "
      "as wide: HVX for linear layers, NEON for control and small batches.\nRight: ",
      Number(width, "%.0f"), " times as wide. TinyLlama in INT8 (Q8_0), at all peaks\n", table.ToText(),
      "The width is not the gain: ", Number(prefill, "%.2gx"), " for a prompt, as four cores have ",
      "more and faster pipes;\n", Number(decode, "%.2gx"),
      " for a token, whose weights come through the memory of either.\n"));
  return 0;
}

// A value in a code of its own scale, and in blocks with a scale each, as model files have it.
int Exercise3(const PlanFlags& flags) {
  constexpr double kValue = 0.157, kScale = 0.01;
  constexpr double kMostCode = 127;
  const double code = UniformCode(kValue, kScale, kMostCode);
  const double error = UniformError(kValue, kScale, kMostCode);
  // A value in a block whose largest is 1.27, there and back.
  const auto rounded = [&](DType type, double value) {
    std::vector<float> row(InfoOf(type).block, 0.0f);
    row[0] = static_cast<float>(kScale * kMostCode);
    row[1] = static_cast<float>(value);
    std::vector<std::byte> bytes(RowBytes(type, row.size()));
    EncodeRow(type, row, bytes);
    DecodeRow(type, bytes, row);
    return static_cast<double>(row[1]);
  };
  Table table({"<in a block whose largest is 1.27", "becomes", "off by", "", "others up to"});
  Json list = Json::Array();
  for (const DType type : {DType::kQ8_0, DType::kQ4_0}) {
    const double back = rounded(type, kValue), off = std::abs(back - kValue);
    double worst = 0;
    for (double other = 0; other < kScale * kMostCode; other += kScale / 8) {
      worst = std::max(worst, std::abs(rounded(type, other) - other));
    }
    table.Add({NameOf(type), Number(back, "%.4f"), Number(off, "%.4f"), PercentText(off / kValue),
               Number(worst, "%.3f")});
    Json json = Json::Object();
    json.Set("type", NameOf(type)).Set("value", back).Set("relative_error", off / kValue);
    list.Push(std::move(json));
  }
  if (flags.json) {
    Json json = Json::Object();
    json.Set("preset", "exercise-3").Set("code", code).Set("value", code * kScale).Set("error", error);
    json.Set("relative_error", error / kValue).Set("blocks", std::move(list));
    json.Print();
    return 0;
  }
  Write(StrCat(
      Bold("exercise-3"),
      ": the error of 0.157 in INT8 with a scale of 0.01.\nThe documents: 16, so 0.16; off by 0.003, "
      "1.9%. Right: ",
      Number(code, "%.0f"), ", so ", Number(code * kScale, "%.2f"), "; off by ", Number(error, "%.3f"), ", ",
      PercentText(error / kValue), ".\n", table.ToText(),
      "One value may lie beside a code by luck: none within the range is off by more than half a scale, ",
      Number(kScale / 2, "%.3f"),
      "; 2.0 is beyond it: it becomes 1.27, off by ", Number(UniformError(2.0, kScale, kMostCode), "%.2f"),
      ".\nWhat counts is what a model's predictions lose: plan --table losses.\n"));
  return 0;
}

// An answer of fixed length by a deadline. A prediction's band is no worst case; a chip's cycles are.
int Exercise8(const PlanFlags& asked) {
  constexpr double kDeadline = 0.5, kAvailable = 0.9999, kDay = 86400;
  PlanFlags flags = asked;
  flags.model = "tinyllama-1.1b";
  PlanSetup setup(flags);
  Configuration c = {.recipe = "Q4_0"};
  c.usage.prompt = 64;
  c.usage.generate = 16;
  Table table({"<model in Q4_0", "<device", "first token", "all 16", "", "<by 500 ms"});
  Json list = Json::Array();
  for (const char* name : {"orin-nano", "edge-llm"}) {
    const Device device = setup.DeviceNamed(name, {});
    for (const char* shape : {"llama3.2-3b", "llama3.2-1b", "smollm2-360m", "smollm2-135m"}) {
      c.model = setup.IndexOf(shape);
      const Prediction p = setup.evaluator().PredictionOf(device, c);
      const double most = p.end_to_end_s * (1 + p.error);
      const char* verdict = most <= kDeadline             ? "yes"
                            : p.end_to_end_s <= kDeadline ? "as predicted, not surely"
                                                          : "no";
      table.Add({shape, name, HumanSeconds(p.ttft_s()), HumanSeconds(p.end_to_end_s),
                 p.error > 0 ? StrCat("to ", HumanSeconds(most)) : "exactly", verdict});
      Json json = Json::Object();
      json.Set("model", shape).Set("device", name).Set("ttft_ms", p.ttft_s() * 1e3);
      json.Set("end_to_end_ms", p.end_to_end_s * 1e3).Set("most_ms", most * 1e3);
      json.Set("keeps", most <= kDeadline);
      list.Push(std::move(json));
    }
  }
  const double down = (1 - kAvailable) * kDay;
  if (flags.json) {
    Json json = Json::Object();
    json.Set("preset", "exercise-8").Set("deadline_ms", kDeadline * 1e3).Set("answers", std::move(list));
    json.Set("claimed_down_s_per_day", 9.0).Set("down_s_per_day", down);
    json.Print();
    return 0;
  }
  Write(StrCat(
      Bold("exercise-8"),
      ": an answer that must come within 500 ms, 200 ms as a rule, jitter below 50 ms, 99.99% available.\n"
      "The documents: fixed lengths and batch, memory planned ahead, no speculation, own cores; a smaller\n"
      "model, a stored answer, a safe default when late. Right: 99.99% is ",
      Number(down, "%.2f s"), " a day. For a prompt of 64 and an answer of 16, both fixed:\n", table.ToText(),
      "Three of four measurements keep a predicted band: it is no worst case, and no system without "
      "real-time\n"
      "scheduling has one. Measure the tail where it will run (edgewise bench). The chip's times are its\n"
      "cycles: without other masters on its bus every step takes the same.\n"));
  return 0;
}

constexpr Exercise kExercises[] = {
    {"exercise-1", Exercise1},     {"exercise-2", Exercise2}, {"exercise-3", Exercise3},
    {"exercise-5", Exercise5},     {"exercise-6", Exercise6}, {"exercise-8", Exercise8},
    {"raspberry-pi", RaspberryPi},
};

}  // namespace

Ceilings::Ceilings(const PlanSetup& setup)
    : memory_([&setup](const Model& model, const Usage& usage) { return setup.NeedFor(model, usage); }),
      evaluator_(setup.models(), memory_, kAtCeilings) {}

std::span<const Exercise> Exercises() { return kExercises; }

}  // namespace edgewise
