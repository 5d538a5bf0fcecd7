#include "predict/published.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "base/error.h"
#include "base/strings.h"
#include "predict/test_published.h"

namespace edgewise {
namespace {

using ::testing::HasSubstr;

constexpr const char* kHeader =
    "id,device,variant,engine,shape,recipe,threads,prompt,generated,tok_s,prefill_tok_s,unscored,source,"
    "note\n";
constexpr const char* kRow =
    "a-1,board,,llama.cpp,llama2-7b,Q4_0,4,512,128,2.5,10,,where it was read,a note\n";

std::string Refusal(const std::string& csv) {
  try {
    ParsePublishedSpeeds(csv, "p.csv");
  } catch (const Error& error) {
    return error.message();
  }
  return "accepted";
}

std::string EnergyRefusal(const std::string& csv) {
  try {
    ParsePublishedEnergy(csv, "e.csv");
  } catch (const Error& error) {
    return error.message();
  }
  return "accepted";
}

// The row with its n-th field replaced.
std::string With(int field, const std::string& text) {
  std::istringstream row(kRow);
  std::string line, result;
  for (int i = 0; std::getline(row, line, ','); ++i)
    result += (i > 0 ? "," : "") + (i == field ? text : line);
  return std::string(kHeader) + result + (result.ends_with('\n') ? "" : "\n");
}

TEST(PublishedSpeeds, AreReadAsTheyStand) {
  const auto rows = ParsePublishedSpeeds(StrCat("# a remark\n\n", kHeader, kRow), "p.csv");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].id, "a-1");
  EXPECT_EQ(rows[0].device, "board");
  EXPECT_EQ(rows[0].engine, "llama.cpp");
  EXPECT_EQ(rows[0].threads, 4u);
  EXPECT_EQ(rows[0].prompt, 512u);
  EXPECT_EQ(rows[0].generated, 128u);
  EXPECT_EQ(rows[0].tok_s, 2.5);
  EXPECT_EQ(rows[0].prefill_tok_s, 10);
  EXPECT_EQ(rows[0].unscored, "");
  EXPECT_EQ(rows[0].source, "where it was read");
  EXPECT_EQ(rows[0].note, "a note");
  EXPECT_EQ(rows[0].line, 4u);
}

TEST(PublishedSpeeds, LinesMayEndAsOnWindowsAndWithoutAnEnd) {
  std::string csv = StrCat(kHeader, kRow);
  csv.pop_back();
  for (size_t at = 0; (at = csv.find('\n', at)) != csv.npos; at += 2) csv.replace(at, 1, "\r\n");
  EXPECT_EQ(ParsePublishedSpeeds(csv, "p.csv").size(), 1u);
}

TEST(PublishedSpeeds, RefusalsSayLineColumnAndReason) {
  EXPECT_THAT(Refusal(""), HasSubstr("p.csv:0: the first line must be id,device,"));
  EXPECT_THAT(Refusal("id,device\n"), HasSubstr("p.csv:1: the first line must be"));
  EXPECT_EQ(Refusal(StrCat(kHeader, "a,b,c\n")),
            "p.csv:2: 3 fields, not 14: one for each column, no commas in them");
  EXPECT_EQ(Refusal(With(0, "")), "p.csv:2: id is empty");
  EXPECT_EQ(Refusal(With(12, "")), "p.csv:2: source is empty");
  EXPECT_EQ(Refusal(With(9, "fast")), "p.csv:2: tok_s is 'fast': it must be a number");
  EXPECT_EQ(Refusal(With(9, "2.5x")), "p.csv:2: tok_s is '2.5x': it must be a number");
  EXPECT_EQ(Refusal(With(9, "")), "p.csv:2: tok_s is '': it must be a number");
  EXPECT_THAT(Refusal(With(9, "0")), HasSubstr("p.csv:2: tok_s is 0: it must be "));
  EXPECT_THAT(Refusal(With(9, "nan")), HasSubstr("p.csv:2: tok_s is nan: it must be "));
  EXPECT_THAT(Refusal(With(9, "inf")), HasSubstr("p.csv:2: tok_s is inf: it must be "));
  EXPECT_THAT(Refusal(With(10, "-1")), HasSubstr("p.csv:2: prefill_tok_s is -1: it must be "));
  EXPECT_EQ(Refusal(With(6, "-4")), "p.csv:2: threads is '-4': it must be a number");
  EXPECT_EQ(Refusal(With(6, "99999999999")), "p.csv:2: threads is '99999999999': it must be a number");
  EXPECT_EQ(Refusal(With(8, "9999999")), "p.csv:2: generated is 9999999: at most 1048576");
  EXPECT_THAT(Refusal(With(5, "Q9_X")), HasSubstr("p.csv:2: no recipe is named 'Q9_X': known are F32, "));
  EXPECT_EQ(Refusal(With(13, "\"quoted\"")),
            "p.csv:2: note has a character that is a quote or not printable ASCII");
  EXPECT_EQ(Refusal(With(13, std::string(500, 'x'))), "p.csv:2: note has more than 400 letters");
  EXPECT_EQ(Refusal(StrCat(kHeader, kRow, kRow)), "p.csv:3: id a-1 is there twice");
  EXPECT_THAT(Refusal(std::string(kMostPublishedBytes + 1, '#')), HasSubstr("p.csv: longer than 1.0 MiB"));
}

TEST(PublishedEnergy, RefusalsSayLineColumnAndReason) {
  const std::string header = "speed,watts,where\n";
  EXPECT_EQ(ParsePublishedEnergy(header + "a-1,12.5,wall\n", "e.csv").at(0).watts, 12.5);
  EXPECT_THAT(EnergyRefusal(header + "a-1,0,wall\n"), HasSubstr("e.csv:2: watts is 0: it must be "));
  EXPECT_EQ(EnergyRefusal(header + "a-1,5,bench\n"), "e.csv:2: where is 'bench': it must be wall or board");
  EXPECT_EQ(EnergyRefusal(header + "a-1,5,wall\na-1,5,wall\n"), "e.csv:3: speed a-1 is there twice");
}

// Bytes changed, dropped and doubled at random: rows or one Error, never anything else.
TEST(PublishedSpeeds, GarbageIsRefusedOrRead) {
  const std::string good = ReadFile(EDGEWISE_SOURCE_DIR "/devices/published.csv").substr(0, 4000);
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string csv = good;
    for (uint32_t edits = 1 + random() % 8; edits > 0; --edits) {
      const size_t at = random() % csv.size();
      switch (random() % 3) {
        case 0: csv[at] = static_cast<char>(random()); break;
        case 1: csv.erase(at, 1 + random() % 40); break;
        default: csv.insert(at, csv.substr(random() % csv.size(), random() % 40));
      }
    }
    try {
      for (const PublishedSpeed& row : ParsePublishedSpeeds(csv, "p.csv")) {
        EXPECT_GT(row.tok_s, 0);
        EXPECT_FALSE(row.id.empty() || row.source.empty());
      }
    } catch (const Error& error) {
      ++refused;
      EXPECT_THAT(error.message(), HasSubstr("p.csv:"));
    }
  }
  EXPECT_GT(refused, 500);
}

TEST(PublishedTable, RowsOfUnknownDevicesShapesAndSpeedsAreRefused) {
  const auto table_of = [](const std::string& speeds, const std::string& energy) -> std::string {
    try {
      PublishedTable(ParsePublishedSpeeds(speeds, "p.csv"), "p.csv", ParsePublishedEnergy(energy, "e.csv"),
                     "e.csv", [](const std::string& name) { return TestBoard(name); });
    } catch (const Error& error) {
      return error.message();
    }
    return "accepted";
  };
  const std::string header = "speed,watts,where\n", good = StrCat(kHeader, kRow);
  EXPECT_EQ(table_of(good, header + "a-1,5,wall\n"), "accepted");
  EXPECT_EQ(table_of(good, header + "a-2,5,wall\n"), "e.csv:2: no speed has the id 'a-2'");
  EXPECT_THAT(table_of(With(1, "nobody"), header), HasSubstr("p.csv:2: no device is called nobody"));
  EXPECT_THAT(table_of(With(4, "llama9"), header), HasSubstr("p.csv:2: no shape is named 'llama9'"));
}

TEST(PublishedTable, ObservationsCountWhatADecodedTokenReadsAndMultiplies) {
  const PublishedTable table = TableOf({{.tok_s = 2.5, .threads = 2, .recipe = "F16"}});
  const Observation& o = table.observations().at(0);
  EXPECT_EQ(o.bits, BitClass::k16);
  EXPECT_EQ(o.seconds, 0.4);
  // Llama 2 7B: 6.607e9 weights are multiplied (6.738e9 less the embedding), two bytes each; position 64 of
  // the cache is 64 * 2 * 4096 * 2 bytes * 32 layers; activations and norms come to 0.2%.
  EXPECT_NEAR(o.read_s, (2 * 6.607e9 + 64.0 * 2 * 4096 * 2 * 32) / 10e9, 4e-3);
  // Half of the four cores; CPUs multiply F16 at the rate of halves where they have it.
  EXPECT_NEAR(o.multiply_s, 2 * 6.607e9 / (0.5 * 200e9), 1e-3);
  EXPECT_EQ(o.ClassName(), "boards x test x 16-bit");
}

TEST(BitClasses, GoByTheBaseType) {
  const std::map<std::string, BitClass> expected = {
      {"Q2_K", BitClass::k2To3}, {"Q3_K_S", BitClass::k2To3}, {"Q4_0", BitClass::k4},
      {"Q4_1", BitClass::k4},    {"Q4_K_M", BitClass::k4},    {"IQ4_NL", BitClass::k4},
      {"Q5_0", BitClass::k5To6}, {"Q5_K_M", BitClass::k5To6}, {"Q6_K", BitClass::k5To6},
      {"Q8_0", BitClass::k8},    {"F16", BitClass::k16},      {"BF16", BitClass::k16},
      {"F32", BitClass::k32}};
  for (const auto& [name, bits] : expected) EXPECT_EQ(BitClassOf(*FindRecipe(name)), bits) << name;
}

}  // namespace
}  // namespace edgewise
