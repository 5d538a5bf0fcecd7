#include "cli/plan_report.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "cli/console.h"
#include "cli/table.h"
#include "predict/efficiency.h"
#include "predict/quality.h"
#include "predict/roofline.h"
#include "quant/recipe.h"

namespace edgewise {
namespace {

std::string Bytes(double bytes) { return HumanBytes(static_cast<uint64_t>(bytes)); }

std::string WithProvenance(const Figure& figure) {
  return StrCat(NameOf(figure.from), figure.source.empty() ? "" : StrCat(", ", figure.source));
}

std::string MemoryText(const PlanView& view) {
  const MemoryPlan& m = view.memory;
  const Usage& u = view.configuration.usage;
  Table table({"<", "bytes", "", "<"});
  const auto add = [&](const char* what, uint64_t bytes, const std::string& note) {
    table.Add({what, Grouped(bytes), HumanBytes(bytes), note});
  };
  add("weights", m.mapped + m.copied,
      StrCat(view.configuration.recipe,
             view.model_file.empty() ? ", the file that synth would write" : ", mapped from the file"));
  add("KV cache", m.kv,
      StrCat(NameOf(u.k_type), u.v_type == u.k_type ? "" : StrCat(" and ", NameOf(u.v_type)), ", ",
             u.positions(), " positions", u.batch > 1 ? StrCat(" x ", u.batch, " sequences") : ""));
  add("scratch", m.scratch, StrCat("steps of ", std::min(u.chunk, u.prompt), " rows"));
  add("tokenizer", m.tokenizer,
      view.model_file.empty() ? "taken as synth makes it; byte pairs take more" : "");
  add("sampler", m.sampler, "");
  add("program", m.program + m.code, "");
  const MemoryFit& fit = view.prediction.memory;
  const double left = fit.usable_bytes - static_cast<double>(fit.need.total());
  const std::string verdict =
      view.device.chip ? "the design does not say how much memory it is given"
      : fit.fits()
          ? StrCat("fits: ", Bytes(left), " of ", Bytes(fit.usable_bytes), " stay free")
          : StrCat("does not fit: ", Bytes(-left), " more than the ", Bytes(fit.usable_bytes), " usable");
  table.Add({"all", Grouped(fit.need.total()), HumanBytes(fit.need.total()), verdict});
  return table.ToText();
}

std::string PagingText(const PlanView& view) {
  const MemoryFit& fit = view.prediction.memory;
  if (fit.fits()) return "";
  const double again = (1 - fit.resident_share) * static_cast<double>(fit.need.weights);
  const Device& d = view.device;
  if (fit.runs() && fit.has_link) {
    const double kv = (1 - fit.resident_kv) * static_cast<double>(fit.need.kv);
    return StrCat("  ", GigabyteText(again), " of weights",
                  kv > 0 ? StrCat(" and what is in use of ", GigabyteText(kv), " of KV cache") : "",
                  " come over the link of ", GigabyteText(d.host_bytes_s->value),
                  "/s again for every step.\n");
  }
  if (fit.runs()) {
    return StrCat("  It pages: ", PercentText(1 - fit.resident_share), " of the weights (",
                  GigabyteText(again), ") are read from storage at ", GigabyteText(d.storage_bytes_s->value),
                  "/s again for every token. That, not arithmetic, makes it slow.\n");
  }
  return "  It cannot run so: the times are those of the same device with memory enough.\n";
}

std::string SpeedText(const PlanView& view) {
  const Prediction& p = view.prediction;
  const Usage& u = view.configuration.usage;
  Table table({"<", "", "<", "<"});
  const auto range = [&](double seconds, bool is_rate) -> std::string {
    if (p.error <= 0) return "exact for the design";
    const double low = seconds * (1 - p.error), high = seconds * (1 + p.error);
    return is_rate ? StrCat(RateText(1 / high), " to ", low > 0 ? RateText(1 / low) : "any")
                   : StrCat(HumanSeconds(std::max(low, 0.0)), " to ", HumanSeconds(high));
  };
  table.Add({"decode", RateText(p.tok_s) + " tok/s", range(p.tpot_s, true),
             StrCat(HumanSeconds(p.tpot_s), " a token, bound by ", NameOf(p.bound))});
  if (u.batch > 1) {
    table.Add({"all sequences", RateText(p.throughput_tok_s) + " tok/s", "", StrCat(u.batch, " at once")});
  }
  table.Add({"first token", HumanSeconds(p.ttft_s()), range(p.ttft_s(), false),
             StrCat("prompt of ", u.prompt, ": ", RateText(p.prefill_tok_s), " tok/s, bound by ",
                    NameOf(p.prefill.total.bound()))});
  std::string parts;
  const auto part = [&](const char* name, double seconds) {
    if (seconds > 0) parts += StrCat(parts.empty() ? "" : " + ", name, " ", HumanSeconds(seconds));
  };
  part("load", p.load_s);
  part("tokenise", p.tokenize_s);
  part("prefill", p.prefill_s);
  part("head", p.first_decode_s);
  table.Add({"", "", "", "= " + parts});
  table.Add({StrCat("all ", u.generate), HumanSeconds(p.end_to_end_s), range(p.end_to_end_s, false), ""});
  return table.ToText();
}

// Of a count that may be beyond any whole number.
std::string CountText(double count) {
  return count < 1e15 ? Grouped(static_cast<uint64_t>(count)) : Number(count, "%.3g");
}

// Where the time of a decoded token goes.
std::string SpentText(const OpTime& time) {
  std::string text;
  for (size_t i = 0; i < kTimeBounds; ++i) {
    const auto bound = static_cast<TimeBound>(i);
    const double share = time.spent(bound) / time.seconds();
    if (share < 0.005) continue;
    text += StrCat(text.empty() ? "" : ", ", NameOf(bound), " ", Number(100 * share, "%.0f%%"));
  }
  return text;
}

std::string EnergyText(const PlanView& view) {
  const auto energy = EnergyOf(view);
  const Device& d = view.device;
  Table table({"<", "", "<"});
  const auto add_floor = [&] {
    if (d.chip) return;  // its own design counts them
    table.Add({"of that at least", HumanJoules(view.least_joules),
               "for multiply-adds and bytes alone in the best silicon known here (--table energy)"});
  };
  if (!energy) {
    table.Add({"a token", "?", "nobody knows the watts of this device"});
    add_floor();
    return table.ToText();
  }
  std::string source =
      d.chip ? "the design's energies (model)" : StrCat("model, from: ", WithProvenance(*d.watts));
  if (d.clock_share != 1) {
    source += StrCat("; at ", PercentText(d.clock_share), " of the clock, voltage with it");
  }
  table.Add({"while decoding", Number(energy->load_watts, "%.3g W"), source});
  table.Add({"a token", HumanJoules(energy->joules_per_token), ""});
  add_floor();
  if (view.energy.duty_share != 1) {
    table.Add({"on average", Number(energy->mean_watts, "%.3g W"),
               StrCat("busy ", PercentText(view.energy.duty_share), " of the time, else idle",
                      d.idle_watts ? "" : " (idle watts unknown: taken as 0)")});
  }
  if (energy->hours > 0) {
    table.Add({"battery", Number(energy->hours, "%.3g h"),
               StrCat(Number(view.energy.battery->watt_hours(), "%.3g Wh"), ", ",
                      CountText(energy->tokens_per_charge), " tokens")});
  }
  return table.ToText();
}

}  // namespace

std::string BasisText(const PlanView& view) {
  const Device& d = view.device;
  if (d.chip) return "priced by the closed form of its design, which equals the simulator's cycles";
  if (d.is_measured()) {
    return StrCat("predicted from this machine's own kernels, measured ", d.measured,
                  view.prediction.threads > 0 ? StrCat(", ", view.prediction.threads, " threads") : "");
  }
  const Efficiency& e = *view.efficiency;
  return StrCat("predicted, as programs reach ", PercentText(e.memory_share), " of the bandwidth, ",
                PercentText(e.decode_share), " of the arithmetic for one row and ",
                PercentText(e.compute_share), " for many",
                e.op_s > 0 ? StrCat(", and each launch takes ", HumanSeconds(e.op_s)) : "", ":\n  ", e.from);
}

std::optional<EnergyFigures> EnergyOf(const PlanView& view) {
  const Prediction& p = view.prediction;
  if (p.watts <= 0) return std::nullopt;
  const double idle = view.device.idle_watts ? view.device.idle_watts->value : 0;
  EnergyFigures e;
  e.load_watts = p.watts;
  e.joules_per_token = p.joules_per_token;
  e.mean_watts = DutyCycleWatts(e.load_watts, idle, view.energy.duty_share);
  if (view.energy.battery) {
    e.hours = BatteryHours(*view.energy.battery, e.mean_watts);
    e.tokens_per_charge = e.hours * 3600 * view.energy.duty_share * p.throughput_tok_s;
  }
  return e;
}

std::string GainText(double before, double after) {
  const double ratio = after / before;
  if (std::abs(ratio - 1) < 0.005) return "same";
  if (ratio >= 9.95) return Number(ratio, "%.0fx");
  return ratio >= 1.995 || ratio <= 0.5 ? Number(ratio, "%.2gx") : Number(100 * (ratio - 1), "%+.0f%%");
}

std::string ConfigurationText(const Configuration& c) {
  const Usage& u = c.usage;
  std::string text = c.recipe;
  if (u.k_type != DType::kF16 || u.v_type != DType::kF16) {
    text += StrCat(", KV ", NameOf(u.k_type), u.k_type == u.v_type ? "" : StrCat("/", NameOf(u.v_type)));
  }
  if (u.context != 0) text += StrCat(", context ", u.context);
  if (u.batch > 1) text += StrCat(", ", u.batch, " sequences");
  if (c.threads > 0) text += StrCat(", ", c.threads, c.threads == 1 ? " thread" : " threads");
  if (u.draft_tokens > 0) text += StrCat(", speculating ", u.draft_tokens);
  if (u.cached_prefix > 0) text += StrCat(", prefix of ", u.cached_prefix, " kept");
  if (c.window > 0) text += StrCat(", window ", c.window);
  if (u.chunk != Usage().chunk) text += StrCat(", chunks of ", u.chunk);
  return text;
}

std::string CommandText(const PlanView& view) {
  const Configuration& c = view.configuration;
  const Usage& u = c.usage;
  const std::string file = view.model_file.empty() ? "model.gguf" : view.model_file;
  std::string text;
  if (view.model_file.empty() && view.model != "custom") {
    text = StrCat("edgewise synth ", view.model, " ", file, " --type ", c.recipe,
                  "   # random weights, the same cost\n  ");
  }
  text += StrCat("edgewise run -m ", file, " -c ", u.positions(), " -n ", u.generate);
  if (u.k_type != DType::kF16) text += StrCat(" -ctk ", Lower(NameOf(u.k_type)));
  if (u.v_type != DType::kF16) text += StrCat(" -ctv ", Lower(NameOf(u.v_type)));
  if (u.chunk != Usage().chunk) text += StrCat(" -b ", u.chunk);
  if (view.prediction.threads > 0) text += StrCat(" -t ", view.prediction.threads);
  if (view.device.chip) text += StrCat(" --backend chip:", view.device.name);
  if (u.draft_tokens > 0) text += StrCat(" --draft-ngram ", u.draft_tokens);
  return text + " -p \"...\"";
}

// How far decoding is from keeping the device's arithmetic busy, at its peaks; "" for chips, measured
// machines and files of several types, which have no one peak.
std::string BalanceText(const PlanView& view) {
  const Recipe* recipe = FindRecipe(view.configuration.recipe);
  if (!view.efficiency || recipe == nullptr || view.parameters == 0) return "";
  const double weight_bytes =
      static_cast<double>(view.prediction.memory.need.weights) / static_cast<double>(view.parameters);
  const double batch = view.configuration.usage.batch;
  const double ridge =
      RidgeBatch(ArithmeticPeak(view.device, recipe->base), view.device.memory_bytes_s.value, weight_bytes);
  return StrCat("  It does ", Number(DecodeIntensity(batch, weight_bytes), "%.3g"),
                " operations for a byte of weights; at its peaks the device balances at ",
                Number(DecodeIntensity(ridge, weight_bytes), "%.3g"), ", with ", Number(ridge, "%.3g"),
                " sequences at once.\n");
}

std::string ViewText(const PlanView& view) {
  const Usage& u = view.configuration.usage;
  const Prediction& p = view.prediction;
  const uint32_t window = view.configuration.window;
  std::string loss =
      std::isinf(view.figures.loss) ? StrCat("nobody measured what attention to the last ", window,
                                             " positions alone loses: much, in a model that was "
                                             "not\ntrained so")
      : view.figures.loss == 0      ? "the number formats lose nothing"
                                    : StrCat("the number formats lose ", PercentText(view.figures.loss),
                                             " of perplexity, as ", view.loss_from);
  std::string text = StrCat(
      Bold(StrCat(view.model, " (", ConfigurationText(view.configuration), ") on ", view.device.name)), ": ",
      view.device.title, "\n", BasisText(view), "\n\nMemory\n", MemoryText(view), PagingText(view),
      "\nSpeed (prompt of ", u.prompt, ", ", u.generate, " generated)\n", SpeedText(view),
      "  A decoded token is spent on: ", SpentText(p.decode.total), ".\n", BalanceText(view));
  if (u.positions() > view.made_for) {
    text +=
        StrCat("  The model was made for ", view.made_for, " positions: text beyond them will be poor.\n");
  }
  if (u.draft_tokens > 0) {
    text += StrCat("  Speculation: ", Number(p.tokens_per_step, "%.3g"), " tokens a step, if ",
                   PercentText(u.acceptance), " of the proposed ones are right (assumed).\n");
  }
  text += StrCat("\nEnergy\n", EnergyText(view), "\nQuality: ", loss, ".\n");
  return text;
}

}  // namespace edgewise
