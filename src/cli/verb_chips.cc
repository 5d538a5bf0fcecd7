#include <charconv>
#include <cstdio>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/chip_options.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "machine/chip_cost.h"
#include "machine/chip_file.h"

namespace edgewise {
namespace {

struct ChipsOptions {
  std::optional<std::string> name;
  bool json = false;
};

double PeakGops(const ChipDesign& d) {
  return 2e-9 * static_cast<double>(PeakMacs(d)) * d.chips * d.clock_hz;
}

// One line a chip; without what it is on a terminal that is too narrow for that.
std::string CatalogText(const std::vector<ChipDesign>& designs) {
  const auto table = [&](bool with_summary) {
    Table out({"<chip", "<array", "MHz", "GOPS", "<host", with_summary ? "<what" : "<"});
    for (const ChipDesign& d : designs) {
      out.Add({d.name, ArrayText(d), Number(d.clock_hz / 1e6, "%.4g"), Number(PeakGops(d), "%.4g"), NameOf(d.host),
               with_summary ? d.summary : ""});
    }
    return out.ToText();
  };
  const std::string wide = table(true), narrow = table(false);
  size_t longest = 0;
  for (size_t at = 0; at < wide.size();) {
    const size_t end = wide.find('\n', at);
    longest = std::max(longest, end - at);
    at = end + 1;
  }
  return longest <= TerminalColumns() ? wide : narrow;
}

std::vector<ChipDesign> AllDesigns() {
  const ChipCatalog catalog = NamedChips();
  std::vector<ChipDesign> designs;
  for (const std::string& name : catalog.Names()) designs.push_back(catalog.Find(name));
  return designs;
}

void SetField(Json& json, const std::string& field, const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) {
    json.Set(field, number);
  } else if (text == "true" || text == "false") {
    json.Set(field, text == "true");
  } else {
    json.Set(field, text);
  }
}

Json SummaryJson(const ChipDesign& d) {
  Json json = Json::Object();
  json.Set("name", d.name)
      .Set("summary", d.summary)
      .Set("source", d.source)
      .Set("kind", NameOf(d.kind))
      .Set("rows", d.rows)
      .Set("cols", d.cols)
      .Set("depth", d.depth)
      .Set("arrays", d.arrays)
      .Set("chips", d.chips)
      .Set("datapath", NameOf(d.datapath))
      .Set("clock_hz", d.clock_hz)
      .Set("peak_gops", PeakGops(d))
      .Set("host", NameOf(d.host))
      .Set("area_mm2", ChipArea(d));
  return json;
}

int List(const ChipsOptions& options) {
  const std::vector<ChipDesign> designs = AllDesigns();
  if (options.json) {
    Json list = Json::Array();
    for (const ChipDesign& d : designs) list.Push(SummaryJson(d));
    list.Print();
    return 0;
  }
  if (designs.empty()) throw Error(ErrorCode::kNotFound, "there are no chip files: set EDGEWISE_CHIPS to a folder");
  std::printf("Named chips (array: rows x columns x k of a tile; GOPS: all multipliers at work)\n%s"
              "Figures and sources of one: edgewise chips NAME\n",
              CatalogText(designs).c_str());
  return 0;
}

// Derived figures, then every field.
std::string DesignText(const ChipDesign& d) {
  Table derived({"<", "<"});
  derived.Add({"peak", StrCat(Number(PeakGops(d), "%.4g"), " GOPS: ", Grouped(PeakMacs(d) * d.chips),
                              PeakMacs(d) * d.chips == 1 ? " multiply-add" : " multiply-adds", " a cycle, ",
                              Number(d.clock_hz / 1e6, "%.4g"), " MHz")});
  derived.Add({"one row", StrCat("uses 1 of ", d.rows, " rows of a tile")});
  const ChipCost tile = PriceProduct(d, {1, d.cols, d.depth});
  derived.Add({"one tile", StrCat(Grouped(tile.cycles), " cycles for one row and ", d.depth, " inputs, ", d.cols,
                                  " outputs (priced)")});
  if (const double area = ChipArea(d); area > 0) {
    derived.Add({"area", StrCat(Number(area, "%.3g"), " mm2 of what is counted (priced)")});
  }
  Table fields({"<", "<"});
  for (const std::string& field : ChipFields()) fields.Add({field, ChipFieldText(d, field)});
  return StrCat(Bold(d.name), ": ", d.summary, "\nsource: ", d.source, "\n", derived.ToText(), "\nFields\n",
                fields.ToText());
}

int Show(const ChipsOptions& options) {
  const ChipDesign d = NamedChips().Find(*options.name);
  if (options.json) {
    Json json = SummaryJson(d), fields = Json::Object();
    for (const std::string& field : ChipFields()) SetField(fields, field, ChipFieldText(d, field));
    json.Set("fields", std::move(fields));
    json.Print();
    return 0;
  }
  std::fputs(DesignText(d).c_str(), stdout);
  // The sources of single figures are comments in the file, and in those of its bases.
  if (const std::string file = NamedChips().FileOf(*options.name); !file.empty()) {
    std::printf("\n%s:\n\n%s", file.c_str(), ReadText(file).c_str());
  }
  return 0;
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<ChipsOptions>();
  flags.AddPositional("NAME", options->name, "one chip, by name or by file (NAME.toml); all when it is not given");
  flags.AddSwitch("--json", options->json, "one JSON document instead");
  return [options] { return options->name ? Show(*options) : List(*options); };
}

}  // namespace

const Verb kChipsVerb = {
    .name = "chips",
    .summary = "the chips that have names",
    .description = "Chips are files, chips/*.toml; those in the folder $EDGEWISE_CHIPS come first. With a name: all "
                   "figures of that chip, and its file, whose comments give the sources.",
    .examples = "edgewise chips\nedgewise chips compact-rtl\n",
    .add = Add};

}  // namespace edgewise
