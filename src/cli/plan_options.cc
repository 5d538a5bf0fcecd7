#include "cli/plan_options.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/thread_pool.h"
#include "cli/quantity.h"

namespace edgewise {
namespace {

DType KvTypeNamed(const char* flag, const std::string& name) {
  const TypeInfo* info = FindTypeByName(name);
  const bool known = info != nullptr && (info->type == DType::kF32 || info->type == DType::kF16 ||
                                         info->type == DType::kQ8_0 || info->type == DType::kQ4_0);
  if (known) return info->type;
  throw Error(ErrorCode::kUsage, StrCat(flag, ": '", Printable(name),
                                        "' is no type of a KV cache: there are f32, f16, q8_0, q4_0"));
}

// One wish, "tok_s=5".
std::pair<LimitKind, double> ParseWish(const std::string& text) {
  const size_t equals = std::min(text.find('='), text.size());
  const std::string key = text.substr(0, equals), value = text.substr(std::min(equals + 1, text.size()));
  if (key == "tok_s") return {LimitKind::kTokS, ParseRate("--want tok_s", value)};
  if (key == "ttft_ms") return {LimitKind::kTtft, ParseSeconds("--want ttft_ms", value + "ms")};
  if (key == "ttft") return {LimitKind::kTtft, ParseSeconds("--want ttft", value)};
  if (key == "mem") return {LimitKind::kMemory, ParseBytes("--want mem", value)};
  if (key == "watts") return {LimitKind::kWatts, ParseWatts("--want watts", value)};
  if (key == "loss") return {LimitKind::kLoss, ParsePercent("--want loss", value)};
  throw Error(ErrorCode::kUsage,
              StrCat("--want: '", Printable(text),
                     "' is no wish: it must be tok_s=N, ttft_ms=N, mem=4G, watts=N or loss=3%"));
}

}  // namespace

void PlanFlags::AddTo(Flags& flags) {
  flags.AddPositional("MODEL", model,
                      "a GGUF file or a named shape (a wrong one lists all); without it the "
                      "bundled model, with limits all shapes");
  flags.Group("What runs");
  flags.Add("--shape", shape, "KEY=N,...", "a shape by its dimensions: width=2048,layers=22,heads=32,...");
  flags.Add("--device", device, "NAME,...",
            "host (this machine, measured), a device, a chip, a file; several: "
            "one line each; all");
  flags.Add("--type", type, "TYPE", "weight type or recipe of a shape (Q4_0 when not given)");
  flags.Add("-p,--prompt", prompt, "N", "tokens of the prompt");
  flags.Add("-n,--predict", generate, "N", "tokens generated");
  flags.Add("-c,--ctx-size", context, "N", "positions of context; else what prompt and generation need");
  flags.Add("-b,--batch-size", chunk, "N", "prompt tokens computed together (512)");
  flags.Add("--batch", sequences, "N", "sequences at once");
  flags.Add("-t,--threads", threads, "N", "threads; else the fastest number");
  flags.Add("-ctk,--cache-type-k", k_type, "TYPE",
            "keys in the KV cache: f32, f16 (when not given), q8_0, q4_0");
  flags.Add("-ctv,--cache-type-v", v_type, "TYPE", "values, likewise");
  flags.Add("--draft", draft, "N",
            "speculation: tokens proposed in a step (n-grams: proposing costs nothing)");
  flags.Add("--acceptance", acceptance, "P", "probability that a proposed token is right: an assumption");
  flags.Add("--prefix", prefix, "N", "tokens of the prompt whose KV is kept from before");
  flags.Add("--window", window, "N", "attention to the last N positions; 0: as the model has it");
  flags.AddSwitch("--cold", cold, "count reading the weights from storage into the first token");
  flags.Group("Limits: search for what keeps them");
  flags.Add("--mem", memory, "SIZE", "memory at most, 4G");
  flags.Add("--ttft", ttft, "TIME", "time to the first token at most, 500ms");
  flags.Add("--tok-s", tok_s, "N", "tokens per second at least");
  flags.Add("--watts", watts, "W", "watts at most");
  flags.Add("--max-ppl-loss", loss, "PERCENT", "perplexity lost to number formats at most, 3%");
  flags.Group("Wishes: the least that must change");
  flags.Add("--want", want, "KEY=VALUE", "tok_s=5, ttft_ms=500, mem=4G, watts=5, loss=3%; may be repeated");
  flags.Group("Energy");
  flags.Add("--battery", battery, "BATTERY", "hours of a battery, 3000mAh@3.7V");
  flags.Add("--dvfs", clock, "SHARE", "of the full clock, 0.6");
  flags.Add("--duty", duty, "SHARE", "of the time that it works, 25%; it idles for the rest");
  flags.Group("Output");
  flags.Add("--preset", preset, "NAME",
            "the documents' scenarios and exercises: mobile-app, exercise-4, ...; "
            "a wrong one lists all");
  flags.Add("--table", table, "NAME",
            "sizes: 7B to 65B by precision and device; losses: perplexity by type; energy: a token by "
            "technology; formulas: the documents' beside the right ones");
  flags.Add("--rules", rules, "source", "the documents' two decision rules, as written, beside ours");
  flags.AddSwitch("--fresh", fresh,
                  "measure this machine's memory again (a second): other work slows it down");
  flags.AddSwitch("--remeasure", remeasure, "measure all of this machine again");
  flags.Add("--html", html, "FILE", "also write a page with the roofline and all operators");
  flags.AddSwitch("--json", json, "one JSON document");
}

Limits LimitsOf(const PlanFlags& flags) {
  Limits limits;
  if (flags.memory) limits[LimitKind::kMemory] = ParseBytes("--mem", *flags.memory);
  if (flags.ttft) limits[LimitKind::kTtft] = ParseSeconds("--ttft", *flags.ttft);
  if (flags.tok_s) limits[LimitKind::kTokS] = ParseRate("--tok-s", *flags.tok_s);
  if (flags.watts) limits[LimitKind::kWatts] = ParseWatts("--watts", *flags.watts);
  if (flags.loss) limits[LimitKind::kLoss] = ParsePercent("--max-ppl-loss", *flags.loss);
  return limits;
}

bool IsAny(const Limits& limits) {
  return std::ranges::any_of(limits.most, [](const auto& limit) { return limit.has_value(); });
}

Limits WantsOf(const PlanFlags& flags) {
  Limits wants;
  for (const std::string& text : flags.want) {
    const auto [kind, value] = ParseWish(text);
    if (wants[kind]) {
      throw Error(ErrorCode::kUsage, StrCat("--want asks twice for ", NameOf(kind), ": ask once"));
    }
    wants[kind] = value;
  }
  return wants;
}

EnergyOptions EnergyOptionsOf(const PlanFlags& flags) {
  EnergyOptions options;
  if (flags.battery) options.battery = ParseBattery("--battery", *flags.battery);
  if (flags.duty) options.duty_share = ParseShare("--duty", *flags.duty);
  return options;
}

double ClockShareOf(const PlanFlags& flags) { return flags.clock ? ParseShare("--dvfs", *flags.clock) : 1; }

Usage UsageOf(const PlanFlags& flags) {
  constexpr uint32_t kMostPositions = 1 << 24;  // as the engine's
  const auto check = [](const char* flag, uint32_t value, uint32_t least, uint32_t most) {
    if (value >= least && value <= most) return;
    throw Error(ErrorCode::kUsage, StrCat(flag, " ", value, " is outside ", least, " to ", most));
  };
  check("--prompt", flags.prompt, 1, kMostPositions);
  check("--predict", flags.generate, 1, kMostPositions);
  check("--ctx-size", flags.context.value_or(1), 1, kMostPositions);
  check("--batch-size", flags.chunk.value_or(1), 1, kMostPositions);
  check("--batch", flags.sequences, 1, 1024);  // slots of the engine
  check("--draft", flags.draft, 0, 64);
  check("--window", flags.window, 0, kMostPositions);
  check("--threads", flags.threads.value_or(1), 1, kMaxThreads);
  Usage usage;
  usage.prompt = flags.prompt;
  usage.generate = flags.generate;
  usage.batch = flags.sequences;
  usage.context = flags.context.value_or(0);
  usage.chunk = flags.chunk.value_or(usage.chunk);
  usage.k_type = KvTypeNamed("-ctk", flags.k_type.value_or("f16"));
  usage.v_type = KvTypeNamed("-ctv", flags.v_type.value_or("f16"));
  usage.cached_prefix = flags.prefix;
  usage.draft_tokens = flags.draft;
  usage.acceptance = flags.acceptance;
  CheckUsage(usage);
  return usage;
}

}  // namespace edgewise
