#include "machine/device_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <limits>

#include "base/error.h"
#include "base/nearest.h"
#include "base/toml.h"

namespace edgewise {
namespace {

// What a table of the file may hold.
const std::vector<std::string> kTexts = {"title", "summary",      "kind",    "family",
                                         "cores", "published_as", "measured"};
const std::vector<std::string> kFigureKeys = {"value", "from", "source", "claimed", "claimed_by", "verdict"};
const std::vector<std::string> kTeamKeys = {"threads",         "read_bytes_s", "peak_ops_s",
                                            "element_bytes_s", "phase_s",      "step_s",
                                            "product",         "attention"};
const std::vector<std::string> kRateKeys = {"type",     "least_rows", "most_rows", "memory_share",
                                            "unpack_s", "mac_s",      "each_s"};

// Reads one file; what every function needs is its name.
class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file) {}

  Device Read(const toml::table& root) const {
    Device device;
    CheckTop(root);
    device.name = std::filesystem::path(file_).stem().string();
    device.title = TextAt(file_, root, "title");
    device.summary = TextAt(file_, root, "summary");
    device.family = TextAt(file_, root, "family");
    device.published_as = TextAt(file_, root, "published_as");
    device.measured = TextAt(file_, root, "measured");
    device.kind = Named(root, "kind", DeviceKindNamed);
    device.cores = Whole(root, "cores", 0);
    for (const DeviceField& field : DeviceFields()) {
      const toml::node* node = root[field.table][field.key].node();
      if (node != nullptr) ReadFigure(field.name(), *node, field.Make(device));
    }
    if (const toml::node* sizes = root["memory"]["sizes"].node()) ReadSizes(*sizes, device.memory_sizes);
    ForEach(root, "team", "team", [&](const toml::table& team) { device.teams.push_back(ReadTeam(team)); });
    return device;
  }

 private:
  // The keys at the top and in the tables of figures.
  void CheckTop(const toml::table& root) const {
    for (const auto& [key, node] : root) {
      const std::string name(key.str());
      if (name == "team" || std::ranges::find(kTexts, name) != kTexts.end()) continue;
      const std::vector<std::string> keys = KeysOf(name);
      if (keys.empty())
        FailAt(file_, &node, StrCat("unknown key '", Printable(name), "'", MeantBy("", name)));
      if (!node.is_table()) FailAt(file_, &node, StrCat(name, " must be a table: [", name, "]"));
      for (const auto& [inner, value] : *node.as_table()) {
        if (std::ranges::find(keys, inner.str()) != keys.end()) continue;
        FailAt(file_, &value,
               StrCat("[", name, "] has no key '", Printable(inner.str()), "'", MeantBy(name, inner.str())));
      }
    }
  }

  static std::vector<std::string> KeysOf(std::string_view table) {
    std::vector<std::string> keys;
    for (const DeviceField& field : DeviceFields()) {
      if (table == field.table) keys.push_back(field.key);
    }
    if (table == "memory") keys.push_back("sizes");
    return keys;
  }

  // "watts" at the top and "watt" in [power] both meant power.watts.
  static std::string MeantBy(std::string_view table, std::string_view key) {
    const std::vector<std::string> own = KeysOf(table);
    std::vector<std::string> names = kTexts, keys = kTexts;
    for (const DeviceField& field : DeviceFields()) {
      names.push_back(field.name());
      keys.push_back(field.key);
    }
    if (const std::string_view near = Nearest(key, own); !near.empty())
      return StrCat(": did you mean ", near, "?");
    if (const std::string_view near = Nearest(key, keys); !near.empty()) {
      return StrCat(": did you mean ",
                    names[static_cast<size_t>(std::ranges::find(keys, near) - keys.begin())], "?");
    }
    return KnownAre(own.empty() ? names : own);
  }

  static std::string KnownAre(const std::vector<std::string>& names) {
    std::string list;
    for (const std::string& one : names) list += (list.empty() ? ": known are " : ", ") + one;
    return list;
  }

  void CheckKeys(const toml::table& table, const std::string& what,
                 const std::vector<std::string>& known) const {
    for (const auto& [key, node] : table) {
      if (std::ranges::find(known, key.str()) != known.end()) continue;
      const std::string_view near = Nearest(key.str(), known);
      FailAt(file_, &node,
             StrCat(what, " has no key '", Printable(key.str()), "'",
                    near.empty() ? KnownAre(known) : StrCat(": did you mean ", near, "?")));
    }
  }

  // A number, whole or not; `fallback` where the key is absent.
  double Number(const toml::node& node, const std::string& what) const {
    if (const auto whole = node.value_exact<int64_t>()) return static_cast<double>(*whole);
    if (const auto real = node.value_exact<double>()) return *real;
    FailAt(file_, &node, StrCat(what, " must be a number"));
  }
  double Number(const toml::table& table, const char* key, double fallback) const {
    const toml::node* node = table.get(key);
    return node == nullptr ? fallback : Number(*node, key);
  }

  uint32_t Whole(const toml::table& table, const char* key, uint32_t fallback) const {
    const toml::node* node = table.get(key);
    if (node == nullptr) return fallback;
    const auto value = node->value_exact<int64_t>();
    if (value && *value >= 0 && *value <= std::numeric_limits<uint32_t>::max())
      return static_cast<uint32_t>(*value);
    FailAt(file_, node,
           StrCat(key, " must be a whole number from 0 to ", std::numeric_limits<uint32_t>::max()));
  }

  // A word of a list; `parse` throws for others.
  template <typename Parse>
  auto Named(const toml::table& table, const char* key, Parse&& parse) const
      -> decltype(parse(std::string_view())) {
    const std::string word = TextAt(file_, table, key);
    if (word.empty()) FailAt(file_, table.get(key), StrCat(key, " is missing"));
    try {
      return parse(word);
    } catch (const Error& error) {
      FailAt(file_, table.get(key), StrCat(key, ": ", error.message()));
    }
  }

  void ReadFigure(const std::string& name, const toml::node& node, Figure& figure) const {
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      figure.value = Number(node, StrCat(name, " (or a table of value, from, source)"));
      return;
    }
    CheckKeys(*table, name, kFigureKeys);
    if (table->get("value") == nullptr) FailAt(file_, &node, StrCat(name, " has no value"));
    figure.value = Number(*table, "value", 0);
    if (table->get("from") != nullptr) figure.from = Named(*table, "from", ProvenanceNamed);
    figure.source = TextAt(file_, *table, "source");
    if (table->get("claimed") != nullptr) figure.claimed = Number(*table, "claimed", 0);
    figure.claimed_by = TextAt(file_, *table, "claimed_by");
    figure.verdict = TextAt(file_, *table, "verdict");
  }

  void ReadSizes(const toml::node& node, std::vector<double>& sizes) const {
    const toml::array* array = node.as_array();
    if (array == nullptr) FailAt(file_, &node, "memory.sizes must be a list of numbers");
    for (const toml::node& size : *array) sizes.push_back(Number(size, "memory.sizes"));
  }

  // The tables of a list, [[key]].
  template <typename F>
  void ForEach(const toml::table& table, const char* key, const std::string& name, F&& f) const {
    const toml::node* node = table.get(key);
    if (node == nullptr) return;
    const toml::array* list = node->as_array();
    if (list == nullptr) FailAt(file_, node, StrCat(name, " must be a list of tables: [[", name, "]]"));
    for (const toml::node& one : *list) {
      if (!one.is_table()) FailAt(file_, &one, StrCat(name, " must be a list of tables: [[", name, "]]"));
      f(*one.as_table());
    }
  }

  TeamRate ReadTeam(const toml::table& table) const {
    CheckKeys(table, "[[team]]", kTeamKeys);
    TeamRate team;
    team.threads = Whole(table, "threads", team.threads);
    if (const toml::node* read = table.get("read_bytes_s"))
      ReadFigure("team.read_bytes_s", *read, team.read_bytes_s);
    team.peak_ops_s = Number(table, "peak_ops_s", team.peak_ops_s);
    team.element_bytes_s = Number(table, "element_bytes_s", team.element_bytes_s);
    team.phase_s = Number(table, "phase_s", team.phase_s);
    team.step_s = Number(table, "step_s", team.step_s);
    ReadRates(table, "product", team.products);
    ReadRates(table, "attention", team.attention);
    return team;
  }

  template <typename Rate>
  void ReadRates(const toml::table& team, const char* key, std::vector<Rate>& rates) const {
    ForEach(team, key, StrCat("team.", key), [&](const toml::table& one) {
      CheckKeys(one, StrCat("[[team.", key, "]]"), kRateKeys);
      Rate rate;
      rate.type = Named(one, "type", [](std::string_view name) {
        const TypeInfo* info = FindTypeByName(name);
        if (info != nullptr) return info->type;
        throw Error(ErrorCode::kUsage,
                    StrCat("no type is called '", Printable(name), "': ", SupportedTypeNames()));
      });
      rate.least_rows = Whole(one, "least_rows", rate.least_rows);
      rate.most_rows = Whole(one, "most_rows", rate.most_rows);
      rate.memory_share = Number(one, "memory_share", rate.memory_share);
      rate.unpack_s = Number(one, "unpack_s", rate.unpack_s);
      rate.mac_s = Number(one, "mac_s", rate.mac_s);
      rate.each_s = Number(one, "each_s", rate.each_s);
      rates.push_back(rate);
    });
  }

  const std::string& file_;
};

// What CheckDevice refuses begins with the field's name: its node, nullptr when no line says it.
const toml::node* NodeOf(const toml::table& root, const std::string& message) {
  std::string path = message.substr(0, message.find_first_of(" :"));
  if (path.starts_with("team.")) return root.get("team");
  return root.at_path(path).node();
}

// ---- writing ----

std::string TextOf(double value) {
  std::array<char, 32> digits;  // the shortest that reads back the same
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return std::string(digits.data(), end);
}

// Of printable ASCII, as CheckDevice has it.
std::string QuotedText(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string TextOf(const Figure& figure) {
  std::string text = StrCat("{ value = ", TextOf(figure.value), ", from = \"", NameOf(figure.from), "\"");
  if (!figure.source.empty()) text += StrCat(", source = ", QuotedText(figure.source));
  if (figure.claimed) text += StrCat(", claimed = ", TextOf(*figure.claimed));
  if (!figure.claimed_by.empty()) text += StrCat(", claimed_by = ", QuotedText(figure.claimed_by));
  if (!figure.verdict.empty()) text += StrCat(", verdict = ", QuotedText(figure.verdict));
  return text + " }";
}

template <typename Rate>
void WriteRates(std::ostream& out, const char* key, const std::vector<Rate>& rates) {
  for (const Rate& rate : rates) {
    out << "[[team." << key << "]]\ntype = \"" << NameOf(rate.type) << "\"\nleast_rows = " << rate.least_rows
        << "\nmost_rows = " << rate.most_rows << "\nmemory_share = " << TextOf(rate.memory_share)
        << "\nunpack_s = " << TextOf(rate.unpack_s) << "\nmac_s = " << TextOf(rate.mac_s)
        << "\neach_s = " << TextOf(rate.each_s) << "\n";
  }
}

void WriteTeam(std::ostream& out, const TeamRate& team) {
  out << "\n[[team]]\nthreads = " << team.threads << "\nread_bytes_s = " << TextOf(team.read_bytes_s)
      << "\npeak_ops_s = " << TextOf(team.peak_ops_s)
      << "\nelement_bytes_s = " << TextOf(team.element_bytes_s)
      << "\nphase_s = " << TextOf(team.phase_s) << "\nstep_s = " << TextOf(team.step_s) << "\n";
  WriteRates(out, "product", team.products);
  WriteRates(out, "attention", team.attention);
}

}  // namespace

std::optional<Device> ParseUnlessChip(std::string_view text, const std::string& file) {
  if (text.size() > kMostDeviceFileBytes) {
    throw Error(ErrorCode::kLimit, StrCat(Printable(file, 200), ": ", text.size(),
                                          " bytes, but a device file has at most ", kMostDeviceFileBytes));
  }
  const toml::table root = ParseToml(text, file);
  if (root.contains("base") || root.contains("array")) return std::nullopt;
  Device device = Reader(file).Read(root);
  try {
    CheckDevice(device);
  } catch (const Error& error) {
    FailAt(file, NodeOf(root, error.message()), error.message());
  }
  return device;
}

Device ParseDevice(std::string_view text, const std::string& file) {
  if (auto device = ParseUnlessChip(text, file)) return *std::move(device);
  throw Error(ErrorCode::kUsage,
              StrCat(Printable(file, 200), ": this is a chip, as it has a base or an array"));
}

std::string WriteDevice(const Device& device) {
  EDGEWISE_CHECK(!device.chip);
  CheckDevice(device);
  std::ostringstream out;
  out << "title = " << QuotedText(device.title) << "\n";
  if (!device.summary.empty()) out << "summary = " << QuotedText(device.summary) << "\n";
  out << "kind = \"" << NameOf(device.kind) << "\"\nfamily = " << QuotedText(device.family) << "\n";
  if (device.cores != 0) out << "cores = " << device.cores << "\n";
  if (!device.published_as.empty()) out << "published_as = " << QuotedText(device.published_as) << "\n";
  if (!device.measured.empty()) out << "measured = " << QuotedText(device.measured) << "\n";
  std::string_view table;
  for (const DeviceField& field : DeviceFields()) {
    const Figure* figure = field.Get(device);
    if (figure == nullptr) continue;
    if (table != field.table) out << "\n[" << field.table << "]\n";
    table = field.table;
    out << field.key << " = " << TextOf(*figure) << "\n";
    if (field.name() == "memory.bytes" && !device.memory_sizes.empty()) {
      out << "sizes = [";
      for (const double& size : device.memory_sizes) {
        out << (&size == device.memory_sizes.data() ? "" : ", ") << TextOf(size);
      }
      out << "]\n";
    }
  }
  for (const TeamRate& team : device.teams) WriteTeam(out, team);
  return std::move(out).str();
}

}  // namespace edgewise
