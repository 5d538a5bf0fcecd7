// Sparsity of a model's own weights: how many zeros there are, where, and what a chip would save by them.
#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "chip/number_scheme.h"
#include "chip/tile_model.h"
#include "chip/zeros.h"
#include "cli/chip_options.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "graph/op.h"
#include "machine/chip_cost.h"

namespace edgewise {
namespace {

struct ZerosFlags {
  ChipFlags chip;
  std::optional<std::string> model;
  std::string scheme = "file";
  uint32_t tokens = 1, threads = 0;
  bool json = false;

  chip::WeightScheme weight_scheme() const {
    return scheme == "row" ? chip::WeightScheme::kRow : chip::WeightScheme::kFile;
  }
};

// The ways of skipping, in the order of all figures by skip.
constexpr std::array<ZeroSkip, 3> kSkips = {ZeroSkip::kElement, ZeroSkip::kTile, ZeroSkip::kTwoOfFour};

// The chip with each way of skipping, where its array can.
struct Designs {
  explicit Designs(const ChipDesign& chip) : dense(chip) {
    dense.zero_skip = ZeroSkip::kNone;
    for (size_t i = 0; i < kSkips.size(); ++i) {
      ChipDesign design = chip;
      design.zero_skip = kSkips[i];
      try {
        CheckDesign(design);
        skipping[i] = std::move(design);
      } catch (const Error&) {  // as with element skipping in a systolic array
      }
    }
  }

  ChipDesign dense;
  std::array<std::optional<ChipDesign>, kSkips.size()> skipping;
};

struct Zeros {
  chip::ZeroCounts counts;
  uint32_t depth = 0;  // of a tile: the chip's, unless the scheme's groups are shorter
  uint64_t dense_cycles = 0;
  std::array<uint64_t, kSkips.size()> cycles = {};  // 0 where the array cannot

  Zeros& operator+=(const Zeros& other) {
    counts += other.counts;
    depth = std::max(depth, other.depth);
    dense_cycles += other.dense_cycles;
    for (size_t i = 0; i < cycles.size(); ++i) cycles[i] += other.cycles[i];
    return *this;
  }
  double share() const { return Share(counts.zeros, counts.weights); }
  double tile_share() const { return Share(counts.zero_tiles, counts.tiles); }
  double complying_share() const { return Share(counts.complying_fours, counts.fours); }
  double Speedup(size_t skip) const { return Share(dense_cycles, cycles[skip]); }
  // How many times less there is to multiply, whatever else the chip waits for.
  double WorkGain(size_t skip) const {
    return std::array{counts.ElementGain(), counts.TileGain(), counts.TwoOfFourGain()}[skip];
  }

 private:
  static double Share(uint64_t part, uint64_t all) {
    return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
  }
};

// What the same share of zeros would give if each weight were zero independently.
struct AtRandom {
  AtRandom(ChipDesign design, const Zeros& zeros) {
    design.depth = zeros.depth;
    const double z = zeros.share();
    const double element = z < 1 ? 1 / (1 - z) : 0, tile = z < 1 ? RandomTileSkip(design, z) : 0;
    tile_share = z < 1 ? 1 - 1 / tile : 1;
    complying_share = z * z * (6 * (1 - z) * (1 - z) + 4 * z * (1 - z) + z * z);
    work_gain = {element, tile, z < 1 ? 1.0 : 2.0};  // of millions of fours one does not comply
  }

  double tile_share, complying_share;
  std::array<double, kSkips.size()> work_gain;
};

// Counts one weight: planes are shared out over the workers, and for each one its zeros and the cycles of
// every way of skipping, which walk its tiles.
Zeros Count(const Weight& weight, const ZerosFlags& flags, const Designs& designs, ThreadPool& pool) {
  const ChipDesign& dense = designs.dense;
  const chip::WeightPlanes planes = chip::PlanesOf(weight, flags.weight_scheme(), dense.datapath, pool);
  const auto product = [&](uint32_t plane) {
    return chip::Product{flags.tokens, planes.n, planes.GroupSize(plane)};
  };
  // Without skipping all planes take the same time, but for a short last one.
  const uint32_t last = planes.planes() - 1;
  Zeros zeros;
  zeros.depth = std::min(dense.depth, planes.group);
  zeros.dense_cycles = chip::TimeProduct(dense, product(last)).total_cycles();
  if (last > 0) zeros.dense_cycles += last * chip::TimeProduct(dense, product(0)).total_cycles();

  constexpr uint32_t kTasks = kSkips.size() + 1;
  std::vector<Zeros> parts(size_t{planes.planes()} * kTasks);
  const auto run = [&](uint32_t task) {
    const uint32_t plane = task / kTasks, skip = task % kTasks;
    const chip::Integers w(planes.Plane(plane), planes.GroupSize(plane));
    if (skip == kSkips.size()) {
      parts[task].counts = chip::CountZeros(w, planes.n, planes.GroupSize(plane), dense.cols, dense.depth);
    } else if (designs.skipping[skip]) {
      parts[task].cycles[skip] =
          chip::TimeProduct(*designs.skipping[skip], product(plane), &w).total_cycles();
    }
  };
  pool.Run([&](Worker& worker) {
    worker.ForChunks(static_cast<uint32_t>(parts.size()), 1, [&](uint32_t begin, uint32_t end) {
      for (uint32_t task = begin; task < end; ++task) run(task);
    });
  });
  for (const Zeros& part : parts) zeros += part;
  return zeros;
}

struct RoleZeros {
  Role role;
  std::vector<TensorId> weights;
  Zeros zeros = {};
};

std::vector<RoleZeros> RolesOf(const Model& model) {
  std::vector<RoleZeros> roles;
  const auto add = [&](Role role, Linear LayerWeights::* linear) {
    roles.push_back({.role = role, .weights = {}});
    for (const LayerWeights& layer : model.layers()) roles.back().weights.push_back((layer.*linear).weight);
  };
  add(Role::kQ, &LayerWeights::q);
  add(Role::kK, &LayerWeights::k);
  add(Role::kV, &LayerWeights::v);
  add(Role::kOut, &LayerWeights::out);
  add(Role::kGate, &LayerWeights::gate);
  add(Role::kUp, &LayerWeights::up);
  add(Role::kDown, &LayerWeights::down);
  roles.push_back({.role = Role::kHead, .weights = {model.head().weight}});
  return roles;
}

std::vector<RoleZeros> CountRoles(const Model& model, const ZerosFlags& flags, const Designs& designs) {
  std::vector<RoleZeros> roles = RolesOf(model);
  uint64_t all = 0, done = 0;
  for (const RoleZeros& role : roles) {
    for (const TensorId id : role.weights) {
      const Weight& weight = model.weight(id);
      chip::CheckScheme(weight, flags.weight_scheme(), designs.dense.datapath);
      all += uint64_t{weight.rows} * weight.k;
    }
  }
  ThreadPool pool(ThreadsOf(flags.threads));
  Progress progress("counting");
  for (RoleZeros& role : roles) {
    for (const TensorId id : role.weights) {
      const Weight& weight = model.weight(id);
      role.zeros += Count(weight, flags, designs, pool);
      progress.Show(done += uint64_t{weight.rows} * weight.k, all);
    }
  }
  return roles;
}

std::string TimesText(double gain) { return gain == 0 ? "all" : Number(gain, "%.5gx"); }

std::string ShareText(const std::vector<RoleZeros>& roles, const Zeros& total, const ChipDesign& design) {
  Table table({"<weights of", "weights", "zeros", "tiles", "empty", "at random", "fours", "half empty",
               "at random"});
  const auto add = [&](const char* name, const Zeros& z) {
    const AtRandom random(design, z);
    table.Add({name, Grouped(z.counts.weights), PercentText(z.share()), Grouped(z.counts.tiles),
               PercentText(z.tile_share()), PercentText(random.tile_share), Grouped(z.counts.fours),
               PercentText(z.complying_share()), PercentText(random.complying_share)});
  };
  for (const RoleZeros& role : roles) add(NameOf(role.role), role.zeros);
  add("all", total);
  return table.ToText();
}

std::string SavedText(const Zeros& total, const Designs& designs) {
  static constexpr std::array<const char*, kSkips.size()> kNames = {"zero weights", "tiles of zeros",
                                                                    "two of each four"};
  const AtRandom random(designs.dense, total);
  Table table({"<left out", "cycles", "faster", "less work", "at random"});
  table.Add({"nothing", Grouped(total.dense_cycles), "", "", ""});
  for (size_t i = 0; i < kSkips.size(); ++i) {
    const bool can = designs.skipping[i].has_value();
    table.Add({kNames[i], can ? Grouped(total.cycles[i]) : "cannot", can ? TimesText(total.Speedup(i)) : "",
               TimesText(total.WorkGain(i)), TimesText(random.work_gain[i])});
  }
  return table.ToText();
}

void PrintText(const ZerosFlags& flags, const std::string& path, const Designs& designs,
               const std::vector<RoleZeros>& roles, const Zeros& total) {
  const ChipDesign& d = designs.dense;
  std::printf("Zeros of %s on %s (%s scheme, tiles of %u outputs x %u)\n", path.c_str(), d.name.c_str(),
              flags.scheme.c_str(), d.cols, d.depth);
  const std::string first = StrCat(PercentText(total.share()), " of the weights are zero, ",
                                   Grouped(total.counts.zero_tiles), " of ", Grouped(total.counts.tiles),
                                   " tiles are empty.");
  std::printf("%s\n\n%s\n", Bold(first).c_str(), ShareText(roles, total, d).c_str());
  std::printf("A step of %u %s, all weights\n%s", flags.tokens, flags.tokens == 1 ? "token" : "tokens",
              SavedText(total, designs).c_str());
}

Json ZerosJson(const Zeros& z, const Designs& designs) {
  const AtRandom random(designs.dense, z);
  Json skips = Json::Array();
  for (size_t i = 0; i < kSkips.size(); ++i) {
    Json skip = Json::Object();
    skip.Set("skip", NameOf(kSkips[i])).Set("possible", designs.skipping[i].has_value());
    if (designs.skipping[i]) skip.Set("cycles", z.cycles[i]).Set("speedup", z.Speedup(i));
    skip.Set("work_gain", z.WorkGain(i)).Set("random_work_gain", random.work_gain[i]);
    skips.Push(std::move(skip));
  }
  Json json = Json::Object();
  json.Set("weights", z.counts.weights)
      .Set("zeros", z.counts.zeros)
      .Set("tiles", z.counts.tiles)
      .Set("zero_tiles", z.counts.zero_tiles)
      .Set("random_zero_tile_share", random.tile_share)
      .Set("fours", z.counts.fours)
      .Set("complying_fours", z.counts.complying_fours)
      .Set("random_complying_share", random.complying_share)
      .Set("cycles", z.dense_cycles)
      .Set("skips", std::move(skips));
  return json;
}

void PrintJson(const ZerosFlags& flags, const std::string& path, const Designs& designs,
               const std::vector<RoleZeros>& roles, const Zeros& total) {
  Json by_role = Json::Array();
  for (const RoleZeros& role : roles) {
    by_role.Push(std::move(ZerosJson(role.zeros, designs).Set("role", NameOf(role.role))));
  }
  Json json = Json::Object();
  json.Set("chip", designs.dense.name)
      .Set("model", path)
      .Set("scheme", flags.scheme)
      .Set("tokens", flags.tokens)
      .Set("tile_cols", designs.dense.cols)
      .Set("tile_depth", designs.dense.depth)
      .Set("total", ZerosJson(total, designs))
      .Set("roles", std::move(by_role));
  json.Print();
}

int CountModel(const ZerosFlags& flags) {
  const Designs designs(flags.chip.Design());
  // Every tile of the step is visited, for it may be one of zeros.
  constexpr uint32_t kMaxTokens = 4096;
  if (flags.tokens == 0 || flags.tokens > kMaxTokens) {
    throw Error(ErrorCode::kUsage, StrCat("--tokens ", flags.tokens, " is outside 1..", kMaxTokens));
  }
  const std::string path = ModelPath(flags.model);
  const Gguf file = Gguf::Open(path);
  const Model model = Model::FromGguf(file);
  const std::vector<RoleZeros> roles = CountRoles(model, flags, designs);
  model.CheckIntact();
  Zeros total;
  for (const RoleZeros& role : roles) total += role.zeros;
  (flags.json ? PrintJson : PrintText)(flags, path, designs, roles, total);
  return 0;
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<ZerosFlags>();
  options->chip.AddTo(flags);
  flags.Add("-m,--model", options->model, "FILE", "the GGUF file; without it the bundled model");
  flags.AddChoice("--scheme", options->scheme, {"file", "row"},
                  "the weights' integers: of the file's blocks, or rounded anew with one scale a row");
  flags.Add("--tokens", options->tokens, "N", "rows of the step that is timed");
  flags.Add("-t,--threads", options->threads, "N", "worker threads; 0: one per core");
  flags.AddSwitch("--json", options->json, "one JSON document instead of the tables");
  return [options] { return CountModel(*options); };
}

}  // namespace

const Verb kChipZerosVerb = {
    .name = "chip zeros",
    .summary = "zeros among a model's weights, and what skipping them saves",
    .description =
        "Counts the zeros among the integers that a chip would multiply, by element, by weight tile and by "
        "four along k (half empty: two at least are zero, as two-of-four chips need of all). At random: what "
        "as many zeros gave if each weight were zero independently; 90% of them leave hardly a tile of 8 x 8 "
        "empty, and skipping tiles then saves 1.0012x, not 10x. Less work: how many times fewer weights, or "
        "tiles, are left; faster: cycles of this chip with all it waits for. Blocks with a minimum (Q4_1, "
        "Q4_K) have zero codes where the weight is not zero: the host adds the minimum.",
    .examples = "edgewise chip zeros -m model.gguf\n"
                "edgewise chip zeros -m model.gguf --chip systolic-8x8 --scheme row\n"
                "edgewise chip zeros --scheme row --set array.datapath=ternary --json\n",
    .add = Add};

}  // namespace edgewise
