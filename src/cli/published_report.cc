#include "cli/published_report.h"

#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "cli/chip_options.h"
#include "cli/console.h"
#include "cli/json.h"
#include "cli/table.h"
#include "machine/named_files.h"
#include "predict/published_score.h"

namespace edgewise {
namespace {

std::string Percent(double share) { return Number(100 * share, "%.0f%%"); }
std::string SignedPercent(double share) { return Number(100 * share, "%+.0f%%"); }
std::string Three(double value) { return Number(value, "%.3g"); }

std::string TextOf(const std::string& path) { return ReadNamedFile(path, kMostPublishedBytes, "table"); }

// "-" where a figure would only repeat what is assumed.
std::string ClassesText(const SpeedScores& scores) {
  Table table(
      {"<class", "rows", "devices", "error", "bandwidth", "many", "one", "us/op", "band"});
  for (const SpeedClass& one : scores.classes) {
    if (!one.scored) continue;
    const Efficiency& e = one.efficiency;
    table.Add({one.name, StrCat(one.rows), StrCat(one.devices), Percent(one.median), Percent(e.memory_share),
               one.prefill_rows == 0 ? "-" : Percent(e.compute_share),
               e.decode_share == e.compute_share && one.prefill_rows == 0 ? "-" : Percent(e.decode_share),
               e.op_s == 0 ? "-" : Number(1e6 * e.op_s, "%.1f"), one.devices == 1 ? "-" : Percent(e.error)});
  }
  return table.ToText();
}

constexpr size_t kWidth = 110;

// A paragraph in lines of kWidth letters at most, the further ones indented by four.
std::string Wrapped(std::string_view text) {
  std::string lines;
  while (text.size() > kWidth) {
    const size_t end = text.rfind(' ', kWidth);
    lines += StrCat(text.substr(0, end), "\n   ");
    text.remove_prefix(end);
  }
  return StrCat(lines, text, "\n");
}

std::string WhyUnscored(const SpeedScore& score) {
  if (!score.row->row.unscored.empty()) return score.row->row.unscored;
  return StrCat("only ", score.class_rows, score.class_rows == 1 ? " row" : " rows", " of its class");
}

std::string DeviceText(const PublishedSpeed& row) {
  std::string text = row.device;
  if (!row.variant.empty()) text += StrCat(" ", row.variant);
  if (row.threads > 0) text += StrCat(" ", row.threads, "t");
  return text;
}

std::string RowsText(const SpeedScores& scores) {
  Table table({"<row", "<device", "<engine", "<model", "<type", "tok/s", "error", "unseen", "any"});
  for (const SpeedScore& score : scores.rows) {
    const PublishedSpeed& row = score.row->row;
    table.Add({row.id, DeviceText(row), row.engine, row.shape, row.recipe, Three(row.tok_s),
               score.scored ? SignedPercent(score.error) : "",
               score.device_error ? SignedPercent(*score.device_error) : "",
               score.general_error ? SignedPercent(*score.general_error) : ""});
  }
  return table.ToText();
}

// The rows without a prediction from their class, by reason.
std::string UnscoredText(const SpeedScores& scores) {
  std::map<std::string, std::string> ids;
  for (const SpeedScore& score : scores.rows) {
    if (!score.scored) ids[WhyUnscored(score)] += StrCat(" ", score.row->row.id);
  }
  std::string text;
  for (const auto& [why, rows] : ids) text += Wrapped(StrCat("  ", why, ":", rows));
  return text;
}

std::string EnergyText(const EnergyScores& scores) {
  Table table(
      {"<row", "<device", "<engine", "<where", "W", "pred.", "J/token", "pred.", "error", "unseen"});
  for (const EnergyScore& score : scores.rows) {
    const PublishedSpeed& row = score.row->row;
    table.Add({row.id, row.device, row.engine, score.energy->where, Three(score.energy->watts),
               score.scored ? Three(score.watts) : "", Three(score.measured),
               score.scored ? Three(score.joules) : "", score.scored ? SignedPercent(score.error) : "",
               score.device_error ? SignedPercent(*score.device_error) : ""});
  }
  return table.ToText();
}

void PrintText(const PublishedTable& table, const SpeedScores& speeds, const EnergyScores& energy) {
  const double within =
      speeds.scored == 0 ? 0 : static_cast<double>(speeds.within_20) / static_cast<double>(speeds.scored);
  std::printf("%zu published speeds, %zu of them predicted from the other rows of their class:\n",
              table.observations().size(), speeds.scored);
  std::printf(
      "median error %s, %s of the rows within 20%%; %s with all rows of the device left out (unseen);\n"
      "%s as devices are predicted, from rows of all formats together, the row itself left out (any)\n\n",
      Percent(speeds.median).c_str(), Percent(within).c_str(), Percent(speeds.device_median).c_str(),
      Percent(speeds.general_median).c_str());
  std::printf(
      "What programs reach: of the bandwidth; of the arithmetic peak in products of many rows and of one;\n"
      "microseconds an operator; and the band that three of four rows of unseen devices keep\n%s\n",
      ClassesText(speeds).c_str());
  std::printf("Speeds\n%s\nNot predicted by their class\n%s\n", RowsText(speeds).c_str(),
              UnscoredText(speeds).c_str());
  std::printf("%zu published watts, %zu of them predicted without them, their speeds too:\n",
              energy.rows.size(), energy.scored);
  std::printf(
      "median error of a token's joules %s, of watts %s; joules %s with all rows of the device left out\n"
      "(blank: a row that does not count, under three of its class, or a device whose figure is this one)\n%s",
      Percent(energy.median).c_str(), Percent(energy.watts_median).c_str(),
      Percent(energy.device_median).c_str(), EnergyText(energy).c_str());
}

Json SpeedJson(const SpeedScore& score) {
  const PublishedSpeed& row = score.row->row;
  Json json = Json::Object();
  json.Set("id", row.id)
      .Set("device", row.device)
      .Set("class", score.row->ClassName())
      .Set("shape", row.shape);
  json.Set("recipe", row.recipe).Set("threads", row.threads).Set("measured_tok_s", row.tok_s);
  json.Set("scored", score.scored).Set("source", row.source).Set("note", row.note);
  if (!score.scored) {
    json.Set("why", WhyUnscored(score));
    return json;
  }
  json.Set("predicted_tok_s", score.tok_s).Set("error", score.error);
  if (score.device_error) json.Set("error_without_device", *score.device_error);
  if (score.general_error) json.Set("error_of_any", *score.general_error);
  return json;
}

Json EnergyJson(const EnergyScore& score) {
  Json json = Json::Object();
  json.Set("id", score.row->row.id).Set("device", score.row->row.device).Set("class", score.class_name);
  json.Set("measured_watts", score.energy->watts).Set("measured_joules_per_token", score.measured);
  json.Set("scored", score.scored);
  if (!score.scored) return json;
  json.Set("predicted_watts", score.watts)
      .Set("predicted_joules_per_token", score.joules)
      .Set("error", score.error);
  if (score.device_error) json.Set("error_without_device", *score.device_error);
  return json;
}

Json ClassJson(const SpeedClass& one) {
  const Efficiency& e = one.efficiency;
  Json json = Json::Object();
  json.Set("name", one.name).Set("rows", one.rows).Set("devices", one.devices).Set("scored", one.scored);
  if (one.scored) json.Set("median_error", one.median).Set("error_band", e.error);
  json.Set("memory_share", e.memory_share).Set("compute_share", e.compute_share);
  json.Set("decode_share", e.decode_share).Set("op_s", e.op_s);
  return json;
}

void PrintJson(const SpeedScores& speeds, const EnergyScores& energy) {
  Json json = Json::Object(), rows = Json::Array(), classes = Json::Array(), watts = Json::Array();
  for (const SpeedClass& one : speeds.classes) classes.Push(ClassJson(one));
  for (const SpeedScore& score : speeds.rows) rows.Push(SpeedJson(score));
  for (const EnergyScore& score : energy.rows) watts.Push(EnergyJson(score));
  json.Set("speed_median_error", speeds.median)
      .Set("speed_median_error_without_device", speeds.device_median)
      .Set("speed_median_error_of_any", speeds.general_median);
  json.Set("speed_rows_scored", speeds.scored);
  json.Set("energy_median_error", energy.median).Set("energy_rows_scored", energy.scored);
  json.Set("classes", std::move(classes))
      .Set("speeds", std::move(rows))
      .Set("energy", std::move(watts))
      .Print();
}

}  // namespace

PublishedTable NamedPublished(const DeviceCatalog& devices) {
  for (const std::string& folder : FoldersOf("devices", "EDGEWISE_DEVICES")) {
    const std::string speeds = folder + "/" + kPublishedSpeedsFile, energy = folder + "/energy.csv";
    if (!std::filesystem::exists(speeds)) continue;
    std::vector<PublishedSpeed> speed_rows = ParsePublishedSpeeds(TextOf(speeds), speeds);
    std::vector<PublishedEnergy> energy_rows = ParsePublishedEnergy(TextOf(energy), energy);
    const auto device_of = [&](const std::string& name) {
      // Another folder may have another device of this name.
      const std::string beside = StrCat(folder, "/", name, ".toml");
      return devices.Find(std::filesystem::exists(beside) ? beside : name);
    };
    return PublishedTable(std::move(speed_rows), speeds, std::move(energy_rows), energy, device_of);
  }
  throw Error(ErrorCode::kNotFound,
              "no folder of devices has published.csv: set EDGEWISE_DEVICES to the folder devices/");
}

void PrintPublished(const DeviceCatalog& devices, bool json) {
  const PublishedTable table = NamedPublished(devices);
  const SpeedScores speeds = ScoreSpeeds(table);
  const EnergyScores energy = ScoreEnergy(table);
  if (json) {
    PrintJson(speeds, energy);
  } else {
    PrintText(table, speeds, energy);
  }
}

}  // namespace edgewise
