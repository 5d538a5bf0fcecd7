#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/console.h"
#include "cli/device_options.h"
#include "cli/json.h"
#include "cli/published_report.h"
#include "cli/quantity.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verb.h"

namespace edgewise {
namespace {

constexpr size_t kMostColumns = 110;     // of what we print; less on a narrower terminal
constexpr size_t kMostCompared = 5;      // side by side in as many columns
constexpr size_t kShortestWrapped = 30;  // a last column that is narrower is not wrapped

struct DevicesOptions {
  std::optional<std::string> name, compare, kind;
  bool published = false, json = false;
};

size_t Room() { return std::min(TerminalColumns(), kMostColumns); }

// ---- how figures are written ----

// Three digits, without an exponent: "0.058", "2.10", "26.0", "989", "1979".
std::string Digits(double value) {
  return Number(value, value < 0.9995 ? "%.3f" : value < 9.995 ? "%.2f" : value < 99.95 ? "%.1f" : "%.0f");
}

std::string FigureText(const std::string& unit, double value) {
  if (unit == "byte") {
    constexpr double kGiB = 1 << 30, kMiB = 1 << 20;
    return value >= kGiB ? StrCat(Number(value / kGiB, "%.4g"), " GiB")
                         : StrCat(Number(value / kMiB, "%.4g"), " MiB");
  }
  if (unit == "W") return StrCat(Number(value, "%.3g"), " W");
  struct Scale {
    double unit;
    const char* ops;
    const char* bytes;
  };
  static constexpr Scale kScales[] = {
      {1e12, "Top/s", "TB/s"}, {1e9, "Gop/s", "GB/s"}, {1e6, "Mop/s", "MB/s"}};
  const bool is_bytes = unit == "byte/s";
  // Memories are compared in GB/s, whatever they reach.
  const Scale* scale = is_bytes ? &kScales[1] : &kScales[0];
  while (value < scale->unit && scale != std::end(kScales) - 1) ++scale;
  return StrCat(Number(value / scale->unit, "%.4g"), " ", is_bytes ? scale->bytes : scale->ops);
}

// A mark behind figures that nobody should rely on.
const char* Doubt(const Figure& figure) {
  return figure.from == Provenance::kUnverified || figure.from == Provenance::kAssumed ? "?" : " ";
}
constexpr const char* kDoubtText = "? unverified or assumed";

// Of a peak, in units of 10^12.
std::string PeakCell(const std::optional<Figure>& figure) {
  return figure ? Digits(figure->value / 1e12) + Doubt(*figure) : "- ";
}
std::string Cell(const Figure& figure, double unit) {
  return Number(figure.value / unit, figure.value < unit ? "%.2g" : "%.4g") + Doubt(figure);
}

// Lines of whole words, each at most `room` letters where its words are.
std::vector<std::string> Wrapped(const std::string& text, size_t room) {
  std::vector<std::string> lines = {""};
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    at = end + 1;
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > room) lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + word;
  }
  return lines;
}

// A table whose last column is wrapped into what the others leave.
std::string WrappedTable(const std::vector<std::string>& headings,
                         const std::vector<std::vector<std::string>>& rows) {
  size_t taken = 0;
  for (size_t column = 0; column + 1 < headings.size(); ++column) {
    size_t width = headings[column].size();
    for (const auto& row : rows) width = std::max(width, row[column].size());
    taken += width + 2;
  }
  const size_t room = std::max(kShortestWrapped, Room() - std::min(Room(), taken + 2));
  Table table(headings);
  for (const auto& row : rows) {
    std::vector<std::string> cells = row;
    for (const std::string& line : Wrapped(row.back(), room)) {
      cells.back() = line;
      table.Add(cells);
      std::ranges::fill(cells, "");
    }
  }
  return table.ToText();
}

std::string Indented(const std::string& text) {
  std::string out;
  for (const std::string& line : Wrapped(text, Room() - 2)) out += "  " + line + "\n";
  return out;
}

// Operations that a byte read from memory must do before arithmetic is what bounds: at F16, else what there
// is.
std::optional<double> Ridge(const Device& d) {
  const std::optional<Figure>& peak = d.f16_ops_s ? d.f16_ops_s : d.f32_ops_s ? d.f32_ops_s : d.int8_ops_s;
  if (!peak) return std::nullopt;
  return peak->value / d.memory_bytes_s.value;
}

double ChipPeak(const ChipDesign& chip) {
  return 2.0 * static_cast<double>(PeakMacs(chip)) * chip.chips * chip.clock_hz;
}

// ---- all ----

const char* HeadingOf(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::kCpu: return "CPU";
    case DeviceKind::kGpu: return "GPU";
    case DeviceKind::kDsp: return "DSP";
    case DeviceKind::kNpu: return "NPU";
    case DeviceKind::kChip: break;  // listed apart
  }
  return "";
}

std::string ListText(const std::vector<Device>& devices, size_t title_room) {
  Table table({"<", "GiB ", "GB/s ", "f32 ", "f16 ", "int8 ", "W ", "<"});
  for (int k = 0; k < static_cast<int>(DeviceKind::kChip); ++k) {
    const auto kind = static_cast<DeviceKind>(k);
    if (std::ranges::find(devices, kind, &Device::kind) == devices.end()) continue;
    table.Add({HeadingOf(kind), "", "", "", "", "", "", ""});
    for (const Device& d : devices) {
      if (d.kind != kind) continue;
      std::string title = d.title;
      if (title.size() > title_room) title = title_room < 2 ? "" : title.substr(0, title_room - 2) + "..";
      table.Add({d.name, Cell(d.memory_bytes, 1 << 30), Cell(d.memory_bytes_s, 1e9), PeakCell(d.f32_ops_s),
                 PeakCell(d.f16_ops_s), PeakCell(d.int8_ops_s), d.watts ? Cell(*d.watts, 1) : "- ", title});
    }
  }
  return table.ToText();
}

// With as much of the titles as there is room for; without any where that would be only a little.
std::string ListText(const std::vector<Device>& devices) {
  const std::string narrow = ListText(devices, 0);
  size_t widest = 0;
  for (size_t at = 0; at < narrow.size();) {
    const size_t end = narrow.find('\n', at);
    widest = std::max(widest, end - at);
    at = end + 1;
  }
  return widest + 2 + kShortestWrapped <= Room() ? ListText(devices, Room() - widest - 2) : narrow;
}

std::string ChipListText(const DeviceCatalog& catalog) {
  std::string names;
  for (const std::string& name : catalog.ChipNames()) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "" : "\n  Chips, priced by their designs (edgewise chips)\n" + Indented(names);
}

std::vector<Device> AllDevices(const DeviceCatalog& catalog, const std::optional<DeviceKind>& kind) {
  std::vector<Device> devices;
  for (const std::string& name : catalog.Names()) {
    Device device = catalog.Find(name);
    if (!kind || device.kind == *kind) devices.push_back(std::move(device));
  }
  return devices;
}

// ---- in JSON ----

Json FigureJson(const DeviceField& field, const Figure& figure) {
  Json json = Json::Object();
  json.Set("value", figure.value)
      .Set("unit", field.unit)
      .Set("from", NameOf(figure.from))
      .Set("source", figure.source);
  if (figure.claimed) {
    json.Set("claimed", *figure.claimed).Set("claimed_by", figure.claimed_by).Set("verdict", figure.verdict);
  }
  return json;
}

Json DeviceJson(const Device& d) {
  Json json = Json::Object();
  json.Set("name", d.name).Set("title", d.title).Set("summary", d.summary).Set("kind", NameOf(d.kind));
  json.Set("family", d.family);
  if (d.cores != 0) json.Set("cores", d.cores);
  if (d.chip) {
    json.Set("peak_ops_s", ChipPeak(*d.chip)).Set("memory_bytes_s", d.chip->memory_bytes_s);
    return json;
  }
  Json figures = Json::Object(), sizes = Json::Array();
  for (const DeviceField& field : DeviceFields()) {
    if (const Figure* figure = field.Get(d)) figures.Set(field.name(), FigureJson(field, *figure));
  }
  for (const double size : d.memory_sizes) sizes.Push(size);
  json.Set("figures", std::move(figures))
      .Set("memory_sizes", std::move(sizes))
      .Set("usable_bytes", d.usable_bytes());
  if (d.is_measured()) json.Set("measured", d.measured);
  return json;
}

int List(const DevicesOptions& options) {
  const DeviceCatalog catalog = NamedDevices();
  std::optional<DeviceKind> kind;
  if (options.kind) kind = DeviceKindNamed(*options.kind);
  const bool with_chips = !kind || kind == DeviceKind::kChip;
  const std::vector<Device> devices = AllDevices(catalog, kind);
  if (options.json) {
    Json list = Json::Array();
    for (const Device& device : devices) list.Push(DeviceJson(device));
    if (with_chips) {
      for (const std::string& name : catalog.ChipNames()) list.Push(DeviceJson(catalog.Find(name)));
    }
    list.Print();
    return 0;
  }
  if (devices.empty() && !with_chips) {
    throw Error(ErrorCode::kNotFound, "there are no such device files: set EDGEWISE_DEVICES to a folder");
  }
  std::string text =
      "Named devices (f32, f16, int8: 10^12 operations a second at best, a multiply-add counts twice;\n"
      "GB/s of memory, W under load; " +
      std::string(kDoubtText) + ")\n";
  if (!devices.empty()) text += ListText(devices);
  if (with_chips) text += ChipListText(catalog);
  std::fputs((text + "\nFigures and sources of one: edgewise devices NAME\n").c_str(), stdout);
  return 0;
}

// ---- one ----

std::string FiguresText(const Device& d) {
  std::vector<std::vector<std::string>> figures, claims;
  for (const DeviceField& field : DeviceFields()) {
    const Figure* figure = field.Get(d);
    if (figure == nullptr) continue;
    figures.push_back(
        {field.name(), FigureText(field.unit, figure->value), NameOf(figure->from), figure->source});
    if (!figure->claimed) continue;
    const double share = *figure->claimed / figure->value;
    claims.push_back({field.name(), FigureText(field.unit, *figure->claimed), StrCat(Digits(share), "x"),
                      StrCat(figure->claimed_by, ". ", figure->verdict)});
  }
  std::string text = WrappedTable({"<figure", "value", "<from", "<source"}, figures);
  if (!claims.empty()) {
    text += "\nWhat the documents say (of the figure above: its share), and the verdict\n" +
            WrappedTable({"<figure", "they say", "share", "<where, verdict"}, claims);
  }
  return text;
}

template <typename Rate>
void AddRates(Table& table, uint32_t threads, const char* what, const std::vector<Rate>& rates) {
  for (const Rate& rate : rates) {
    table.Add({StrCat(threads), what, NameOf(rate.type), StrCat(rate.least_rows, "-", rate.most_rows),
               PercentText(rate.memory_share), Number(rate.unpack_s * 1e12, "%.4g"),
               Number(rate.mac_s * 1e12, "%.4g"), Number(rate.each_s * 1e9, "%.4g")});
  }
}

std::string TeamsText(const Device& d) {
  Table teams({"threads", "GB/s", "elements GB/s", "phase us", "step us"});
  Table rates({"threads", "<kernel", "<type", "rows", "of GB/s", "unpack ps", "multiply-add ps", "each ns"});
  for (const TeamRate& team : d.teams) {
    teams.Add({StrCat(team.threads), Digits(team.read_bytes_s.value / 1e9),
               Digits(team.element_bytes_s / 1e9), Digits(team.phase_s * 1e6), Digits(team.step_s * 1e6)});
    AddRates(rates, team.threads, "product", team.products);
    AddRates(rates, team.threads, "attention", team.attention);
  }
  return StrCat("\nMeasured (", d.measured, ")\n", teams.ToText(), rates.ToText());
}

std::string DeviceText(const Device& d, const std::string& file) {
  std::string text = StrCat(Bold(d.name), ": ", d.title, "\n");
  if (!d.summary.empty()) text += Indented(d.summary);
  if (d.chip) {
    return StrCat(text, "  a chip of ", FigureText("op/s", ChipPeak(*d.chip)),
                  ", priced by its design: edgewise chips ", d.name, "\n");
  }
  std::string sizes;
  for (const double size : d.memory_sizes) {
    sizes += StrCat(sizes.empty() ? "; sold with " : ", ", Number(size / (1 << 30), "%.4g"));
  }
  text +=
      StrCat("  ", NameOf(d.kind), ", priced as ", d.family,
             d.cores == 0 ? "" : StrCat(", ", d.cores, " cores"), sizes, sizes.empty() ? "" : " GiB", "\n\n",
             FiguresText(d), "\n  ", FigureText("byte", d.usable_bytes()), " for weights, cache and program");
  if (const std::optional<double> ridge = Ridge(d)) {
    text += StrCat("; ", Digits(*ridge), " operations a byte keep arithmetic and memory in balance");
  }
  text += "\n";
  if (d.is_measured()) text += TeamsText(d);
  return StrCat(text, "  file: ", file, "\n");
}

int Show(const DevicesOptions& options) {
  const DeviceCatalog catalog = NamedDevices();
  const Device device = catalog.Find(*options.name);
  if (options.json) {
    DeviceJson(device).Print();
  } else {
    std::fputs(DeviceText(device, catalog.FileOf(*options.name)).c_str(), stdout);
  }
  return 0;
}

// ---- side by side ----

std::vector<Device> Compared(const std::string& list) {
  const std::vector<std::string> names = SplitNames("--compare", list);
  if (names.size() > kMostCompared) {
    throw Error(ErrorCode::kUsage, StrCat("--compare takes at most ", kMostCompared, " devices"));
  }
  const DeviceCatalog catalog = NamedDevices();
  std::vector<Device> devices;
  for (const std::string& name : names) devices.push_back(catalog.Find(name));
  return devices;
}

std::string ComparedText(const std::vector<Device>& devices) {
  std::vector<std::string> headings = {"<"};
  for (const Device& d : devices) headings.push_back(d.name + " ");
  Table table(headings);
  const auto add = [&](const std::string& what, auto&& cell) {
    std::vector<std::string> cells = {what};
    bool any = false;
    for (const Device& d : devices) {
      cells.push_back(cell(d));
      any |= cells.back() != "- ";
    }
    if (any) table.Add(cells);
  };
  add("kind", [](const Device& d) { return StrCat(NameOf(d.kind), " "); });
  add("priced as", [](const Device& d) { return d.family + " "; });
  add("cores", [](const Device& d) { return d.cores == 0 ? "- " : StrCat(d.cores, " "); });
  for (const DeviceField& field : DeviceFields()) {
    add(field.name(), [&](const Device& d) -> std::string {
      const Figure* figure = field.Get(d);
      return figure == nullptr ? "- " : FigureText(field.unit, figure->value) + Doubt(*figure);
    });
  }
  add("usable", [](const Device& d) { return d.chip ? "- " : FigureText("byte", d.usable_bytes()) + " "; });
  add("operations a byte", [](const Device& d) {
    const std::optional<double> ridge = d.chip ? std::nullopt : Ridge(d);
    return ridge ? Digits(*ridge) + " " : "- ";
  });
  add("peak of the design",
      [](const Device& d) { return d.chip ? FigureText("op/s", ChipPeak(*d.chip)) + " " : "- "; });
  add("bytes/s of the design", [](const Device& d) {
    return d.chip && d.chip->memory_bytes_s > 0 ? FigureText("byte/s", d.chip->memory_bytes_s) + " " : "- ";
  });
  return table.ToText() + "  " + kDoubtText + "; figures at their best, not what programs reach\n";
}

int Compare(const DevicesOptions& options) {
  const std::vector<Device> devices = Compared(*options.compare);
  if (options.json) {
    Json list = Json::Array();
    for (const Device& device : devices) list.Push(DeviceJson(device));
    list.Print();
  } else {
    std::fputs(ComparedText(devices).c_str(), stdout);
  }
  return 0;
}

int Devices(const DevicesOptions& options) {
  const int ways = (options.name ? 1 : 0) + (options.compare ? 1 : 0) + (options.kind ? 1 : 0) +
                   (options.published ? 1 : 0);
  if (ways > 1) throw Error(ErrorCode::kUsage, "give one of NAME, --compare, --kind and --published");
  if (options.name) return Show(options);
  if (options.published) {
    PrintPublished(NamedDevices(), options.json);
    return 0;
  }
  return options.compare ? Compare(options) : List(options);
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<DevicesOptions>();
  flags.AddPositional("NAME", options->name,
                      "one device or chip, by name or by file (NAME.toml); all when it is not given");
  flags.Add("--compare", options->compare, "A,B,...", "these side by side");
  flags.Add("--kind", options->kind, "KIND", "only cpu, gpu, dsp, npu or chip");
  flags.AddSwitch("--published", options->published,
                  "what others measured, beside what the predictor says of it");
  flags.AddSwitch("--json", options->json, "one JSON document instead");
  return [options] { return Devices(*options); };
}

}  // namespace

const Verb kDevicesVerb = {
    .name = "devices",
    .summary = "the devices that have names, their figures and where those come from",
    .description =
        "Devices are files, devices/*.toml; those in the folder $EDGEWISE_DEVICES come first. Every figure "
        "has a provenance: measured, vendor, repository, derived, seen, unverified, stated or assumed. With "
        "a name: each figure with its source, and what the documents claim, with the verdict. "
        "docs/devices.md says how to write your own in ten lines.",
    .examples = "edgewise devices\nedgewise devices rpi4\nedgewise devices --compare rpi5,jetson-nano,m1\n",
    .add = Add};

}  // namespace edgewise
