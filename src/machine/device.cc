#include "machine/device.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace edgewise {
namespace {

constexpr double kMostBytes = 0x1p50;
constexpr double kLeastRate = 1e3;  // operations or bytes a second: below it a unit has slipped
constexpr double kMostRate = 1e18;
constexpr double kMostWatts = 1e5;
constexpr double kMostSeconds = 1e3;
constexpr uint32_t kMostCores = 1 << 20;
constexpr uint32_t kMostThreads = 1 << 12;
constexpr size_t kMostRates = 256;  // of a team; teams, memory sizes
constexpr size_t kMostText = 2000;
// Of memory, where no one says what the system takes.
constexpr double kUsableShare = 0.9;

const char* const kProvenances[] = {"measured", "vendor",     "repository", "derived",
                                    "seen",     "unverified", "stated",     "assumed"};
const char* const kKinds[] = {"cpu", "gpu", "dsp", "npu", "chip"};

const DeviceField kFields[] = {
    {"peak", "f32_ops_s", "op/s", &Device::f32_ops_s},
    {"peak", "f16_ops_s", "op/s", &Device::f16_ops_s},
    {"peak", "int8_ops_s", "op/s", &Device::int8_ops_s},
    {"peak", "int4_ops_s", "op/s", &Device::int4_ops_s},
    {"memory", "bytes", "byte", &Device::memory_bytes},
    {"memory", "free_bytes", "byte", &Device::free_bytes},
    {"memory", "bytes_s", "byte/s", &Device::memory_bytes_s},
    {"memory", "cache_bytes", "byte", &Device::cache_bytes},
    {"storage", "bytes_s", "byte/s", &Device::storage_bytes_s},
    {"link", "bytes_s", "byte/s", &Device::host_bytes_s},
    {"power", "watts", "W", &Device::watts},
    {"power", "idle_watts", "W", &Device::idle_watts},
};

[[noreturn]] void Refuse(const std::string& what) { throw Error(ErrorCode::kUsage, what); }

template <typename Enum, size_t N>
Enum EnumNamed(std::string_view name, const char* const (&names)[N], const char* what) {
  const auto at = std::ranges::find(names, name);
  if (at != std::end(names)) return static_cast<Enum>(at - names);
  std::string known;
  for (const char* one : names) known += StrCat(known.empty() ? "" : ", ", one);
  Refuse(StrCat("no ", what, " is called '", Printable(name), "': it must be one of ", known));
}

void CheckText(const std::string& field, const std::string& text) {
  if (text.size() > kMostText) Refuse(StrCat(field, " has ", text.size(), " letters: at most ", kMostText));
  if (std::ranges::any_of(text, [](char c) { return c < 0x20 || c > 0x7e; })) {
    Refuse(StrCat(field, " has a character that is not printable ASCII: one line without such"));
  }
}

void CheckReal(const std::string& field, double value, double least, double most) {
  if (value >= least && value <= most) return;  // false for NaN
  Refuse(StrCat(field, " is ", value, ": it must be ", least, " to ", most));
}

void CheckFigure(const std::string& field, std::string_view unit, const Figure& figure) {
  if (unit == "byte") {
    CheckReal(field, figure.value, 1, kMostBytes);
  } else if (unit == "W") {
    CheckReal(field, figure.value, 1e-6, kMostWatts);
  } else {
    CheckReal(field, figure.value, kLeastRate, kMostRate);
  }
  CheckText(field + ".source", figure.source);
  CheckText(field + ".claimed_by", figure.claimed_by);
  CheckText(field + ".verdict", figure.verdict);
  if (figure.claimed) {
    CheckReal(field + ".claimed", *figure.claimed, 1e-9, kMostRate);
    if (figure.claimed_by.empty())
      Refuse(StrCat(field, ".claimed needs claimed_by: which document says so?"));
  }
}

template <typename Rate>
void CheckRates(const std::string& field, const std::vector<Rate>& rates) {
  if (rates.size() > kMostRates)
    Refuse(StrCat(field, " is there ", rates.size(), " times: at most ", kMostRates));
  for (const Rate& rate : rates) {
    if (rate.least_rows < 1 || rate.least_rows > rate.most_rows) {
      Refuse(StrCat(field, ".least_rows is ", rate.least_rows, " and most_rows ", rate.most_rows,
                    ": 1 <= least_rows <= most_rows"));
    }
    // Above 1: a product may read caches too, or the roof was measured at a bad moment.
    CheckReal(field + ".memory_share", rate.memory_share, 1e-6, 100);
    CheckReal(field + ".unpack_s", rate.unpack_s, 0, kMostSeconds);
    CheckReal(field + ".mac_s", rate.mac_s, 0, kMostSeconds);
    CheckReal(field + ".each_s", rate.each_s, 0, kMostSeconds);
  }
}

void CheckTeam(const TeamRate& team) {
  if (team.threads < 1 || team.threads > kMostThreads) {
    Refuse(StrCat("team.threads is ", team.threads, ": it must be 1 to ", kMostThreads));
  }
  CheckFigure("team.read_bytes_s", "byte/s", team.read_bytes_s);
  CheckReal("team.peak_ops_s", team.peak_ops_s, 0, kMostRate);
  CheckReal("team.element_bytes_s", team.element_bytes_s, kLeastRate, kMostRate);
  CheckReal("team.phase_s", team.phase_s, 0, kMostSeconds);
  CheckReal("team.step_s", team.step_s, 0, kMostSeconds);
  CheckRates("team.product", team.products);
  CheckRates("team.attention", team.attention);
}

void CheckTeams(const std::vector<TeamRate>& teams) {
  if (teams.size() > kMostRates)
    Refuse(StrCat("team is there ", teams.size(), " times: at most ", kMostRates));
  for (auto team = teams.begin(); team != teams.end(); ++team) {
    CheckTeam(*team);
    if (std::find_if(teams.begin(), team, [&](const TeamRate& t) { return t.threads == team->threads; }) !=
        team) {
      Refuse(StrCat("team.threads is ", team->threads, " in two teams: one for each number of threads"));
    }
  }
}

}  // namespace

const char* NameOf(Provenance provenance) { return kProvenances[static_cast<size_t>(provenance)]; }
Provenance ProvenanceNamed(std::string_view name) {
  return EnumNamed<Provenance>(name, kProvenances, "provenance");
}
const char* NameOf(DeviceKind kind) { return kKinds[static_cast<size_t>(kind)]; }
DeviceKind DeviceKindNamed(std::string_view name) {
  return EnumNamed<DeviceKind>(name, kKinds, "kind of device");
}

std::string DeviceField::name() const { return StrCat(table, ".", key); }

const Figure* DeviceField::Get(const Device& device) const {
  if (const auto* sure = std::get_if<Figure Device::*>(&member)) {
    const Figure& figure = device.**sure;
    return figure == Figure() ? nullptr : &figure;
  }
  const std::optional<Figure>& figure = device.*std::get<std::optional<Figure> Device::*>(member);
  return figure ? &*figure : nullptr;
}

Figure& DeviceField::Make(Device& device) const {
  if (const auto* sure = std::get_if<Figure Device::*>(&member)) return device.**sure;
  return (device.*std::get<std::optional<Figure> Device::*>(member)).emplace();
}

std::span<const DeviceField> DeviceFields() { return kFields; }

double Device::usable_bytes() const {
  if (chip) return std::numeric_limits<double>::infinity();
  return free_bytes ? free_bytes->value : kUsableShare * memory_bytes.value;
}

void CheckDevice(const Device& d) {
  CheckText("title", d.title);
  CheckText("summary", d.summary);
  CheckText("family", d.family);
  CheckText("published_as", d.published_as);
  CheckText("measured", d.measured);
  if (d.chip) {
    CheckDesign(*d.chip);
    return;
  }
  if (d.title.empty()) Refuse("title is missing: what is this device?");
  if (d.kind == DeviceKind::kChip) Refuse("kind is chip: a chip has a chip file, with [array]");
  if (d.family.empty()) Refuse("family is missing: which devices behave like this one, as \"arm-cpu\"?");
  if (d.cores > kMostCores) Refuse(StrCat("cores is ", d.cores, ": at most ", kMostCores));
  if (d.memory_bytes.value == 0) Refuse("memory.bytes is missing or 0: how much memory is there?");
  if (d.memory_bytes_s.value == 0) Refuse("memory.bytes_s is missing or 0: how fast is memory read?");
  for (const DeviceField& field : kFields) {
    if (const Figure* figure = field.Get(d)) CheckFigure(field.name(), field.unit, *figure);
  }
  if (!d.is_measured() && !d.f32_ops_s && !d.f16_ops_s && !d.int8_ops_s && !d.int4_ops_s) {
    Refuse("peak.f32_ops_s is missing, and so are f16_ops_s, int8_ops_s and int4_ops_s: one must be there");
  }
  if (d.free_bytes && d.free_bytes->value > d.memory_bytes.value) {
    Refuse("memory.free_bytes is more than memory.bytes");
  }
  if (d.memory_sizes.size() > kMostRates)
    Refuse(StrCat("memory.sizes has more than ", kMostRates, " entries"));
  for (const double size : d.memory_sizes) CheckReal("memory.sizes", size, 1, kMostBytes);
  if (d.watts && d.idle_watts && d.idle_watts->value > d.watts->value) {
    Refuse("power.idle_watts is more than power.watts, which are under load");
  }
  CheckTeams(d.teams);
}

}  // namespace edgewise
