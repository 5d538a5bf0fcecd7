#include "machine/device_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/test_files.h"

namespace edgewise {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kBoard = R"toml(title = "My board (4x Cortex-A55, 2.0 GHz)"
kind = "cpu"
family = "arm-cpu"
cores = 4
[peak]
f32_ops_s = 64e9
[memory]
bytes = 4_000_000_000
bytes_s = { value = 12.8e9, from = "vendor", source = "LPDDR4-3200, 32 bits" }
)toml";

Device Parse(const std::string& text) { return ParseDevice(text, "devices/board.toml"); }

std::string Refusal(const std::string& text) {
  return RefusalOf([&] { Parse(text); });
}

Device MeasuredMachine() {
  Device d = Parse(kBoard);
  d.name = "host";
  d.measured = "2026-01-02 03:04 on \"some\\CPU\"";
  d.memory_sizes = {2e9, 4e9};
  d.free_bytes = Figure{3e9, Provenance::kAssumed, "", {}, "", ""};
  d.watts = Figure{6.4, Provenance::kMeasured, "wall", 5.0, "S9: 5 W", "low"};
  for (const uint32_t threads : {1u, 2u}) {
    TeamRate team;
    team.threads = threads;
    team.read_bytes_s = {threads * 12.8e9 / 3, Provenance::kMeasured, "512 MB", {}, "", ""};
    team.products = {{DType::kQ4_K, 1, 1, 0.93, 1e-11 / 3, 2e-11, 0},
                     {DType::kQ4_K, 2, 8, 1, 0, 3e-11, 2e-9}};
    team.attention = {{DType::kF16, 1, 512, 0.5, 1e-11, 1e-10, 5e-6}};
    team.element_bytes_s = 5e9;
    team.peak_ops_s = 9e11;
    team.phase_s = 3e-6;
    team.step_s = 1e-4;
    d.teams.push_back(team);
  }
  return d;
}

TEST(DeviceFile, TenLinesDescribeADeviceOfOnesOwn) {
  const Device d = Parse(kBoard);
  EXPECT_EQ(d.name, "board");
  EXPECT_EQ(d.title, "My board (4x Cortex-A55, 2.0 GHz)");
  EXPECT_EQ(d.kind, DeviceKind::kCpu);
  EXPECT_EQ(d.family, "arm-cpu");
  EXPECT_EQ(d.cores, 4u);
  EXPECT_EQ(d.f32_ops_s, (Figure{64e9, Provenance::kStated, "", {}, "", ""}));
  EXPECT_FALSE(d.f16_ops_s.has_value());
  EXPECT_EQ(d.memory_bytes.value, 4e9);
  EXPECT_EQ(d.memory_bytes_s, (Figure{12.8e9, Provenance::kVendor, "LPDDR4-3200, 32 bits", {}, "", ""}));
  EXPECT_EQ(d.usable_bytes(), 0.9 * 4e9);
  EXPECT_FALSE(d.is_measured());
}

TEST(DeviceFile, AFigureKeepsWhatADocumentClaims) {
  const Device d = Parse(std::string(kBoard) +
                         "free_bytes = 3e9\nsizes = [2e9, 4e9]\n"
                         "[storage.bytes_s]\nvalue = 45e6\nfrom = \"seen\"\nsource = \"SD card\"\n"
                         "claimed = 90e6\nclaimed_by = \"S4: 90 MB/s\"\nverdict = \"of a USB disk\"\n");
  EXPECT_EQ(d.storage_bytes_s,
            (Figure{45e6, Provenance::kSeen, "SD card", 90e6, "S4: 90 MB/s", "of a USB disk"}));
  EXPECT_EQ(d.usable_bytes(), 3e9);
  EXPECT_THAT(d.memory_sizes, ElementsAre(2e9, 4e9));
}

TEST(DeviceFile, WritingAndReadingGiveTheSameDevice) {
  Device d = MeasuredMachine();
  const std::string text = WriteDevice(d);
  d.name = "board";  // a file gives the name
  EXPECT_EQ(Parse(text), d) << text;
}

TEST(DeviceFile, EveryFigureIsWrittenAndRead) {
  Device d = Parse(kBoard);
  double value = 1e6;
  for (const DeviceField& field : DeviceFields()) {
    if (field.unit != std::string("W"))
      field.Make(d) = {value *= 2, Provenance::kSeen, field.name(), {}, "", ""};
  }
  d.memory_bytes.value = 1e12;  // of which some is free
  EXPECT_EQ(Parse(WriteDevice(d)), d);
}

TEST(DeviceFile, OnlyWhatItsReaderTakesIsWritten) {
  Device d = MeasuredMachine();
  d.title = "two\nlines";
  EXPECT_THROW(WriteDevice(d), Error);
  d = MeasuredMachine();
  d.teams[1].phase_s = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(WriteDevice(d), Error);
}

TEST(DeviceFile, ErrorsNameFileLineKeyAndReason) {
  const std::string board = kBoard;
  const std::pair<std::string, const char*> kCases[] = {
      {"", "devices/board.toml: kind is missing"},
      {"kind = \"cpu\"", "devices/board.toml: title is missing: what is this device?"},
      {"title = \"x\"\nkind = \"tpu\"",
       "devices/board.toml:2: kind: no kind of device is called 'tpu': it must be one of cpu, gpu, dsp, npu, "
       "chip"},
      {"title = \"x\"\nkind = \"chip\"", "devices/board.toml:2: kind is chip: a chip has a chip file"},
      {"title = 3\nkind = \"cpu\"", "devices/board.toml:1: title must be a text in quotes"},
      {"title = \"x\"\nkind = \"cpu\"", "devices/board.toml: family is missing"},
      {"title = \"x\"\nkind = \"cpu\"\nfamily = \"f\"",
       "memory.bytes is missing or 0: how much memory is there?"},
      {"title = \"x\"\nkind = \"cpu\"\nfamily = \"f\"\n[memory]\nbytes = 1e9\nbytes_s = 1e9",
       "peak.f32_ops_s is missing, and so are"},
      {"title = \"x\"\ntitle = \"y\"", "devices/board.toml:2: "},
      {"[ = 1]\n", "devices/board.toml: no valid TOML"},
      {"title = \"\xc3\xa4\"", "devices/board.toml:1: a character beyond ASCII"},
      {board + "byts_s = 3", "devices/board.toml:10: [memory] has no key 'byts_s': did you mean bytes_s?"},
      {board + "watts = 3", "[memory] has no key 'watts': did you mean power.watts?"},
      {board + "speed = 3",
       "[memory] has no key 'speed': known are bytes, free_bytes, bytes_s, cache_bytes, sizes"},
      {"famly = \"x\"", "devices/board.toml:1: unknown key 'famly': did you mean family?"},
      {"watts = 5", "unknown key 'watts': did you mean power.watts?"},
      {"xyzzy = 5",
       "unknown key 'xyzzy': known are title, summary, kind, family, cores, published_as, measured, "
       "peak.f32_ops_s"},
      {"memory = 5", "devices/board.toml:1: memory must be a table: [memory]"},
      {"[[memory]]\nbytes = 1", "memory must be a table: [memory]"},
      {board + "free_bytes = \"3e9\"",
       "memory.free_bytes (or a table of value, from, source) must be a number"},
      {board + "free_bytes = {}", "devices/board.toml:10: memory.free_bytes has no value"},
      {board + "free_bytes = { valu = 3 }", "memory.free_bytes has no key 'valu': did you mean value?"},
      {board + "free_bytes = { value = 3e9, from = \"me\" }",
       "devices/board.toml:10: from: no provenance is called 'me': it must be one of measured, vendor, "
       "repository, "},
      {board + "free_bytes = { value = 3e9, source = 5 }", "source must be a text in quotes"},
      {board + "free_bytes = { value = 3e9, claimed = 5 }",
       "devices/board.toml:10: memory.free_bytes.claimed needs claimed_by"},
      {board + "free_bytes = 5e9", "devices/board.toml:10: memory.free_bytes is more than memory.bytes"},
      {board + "cache_bytes = -1",
       "devices/board.toml:10: memory.cache_bytes is -1: it must be 1 to 1.1259e+15"},
      {board + "cache_bytes = nan", "memory.cache_bytes is nan"},
      {board + "cache_bytes = inf", "memory.cache_bytes is inf"},
      {board + "sizes = 5", "devices/board.toml:10: memory.sizes must be a list of numbers"},
      {board + "sizes = [1e9, 0]", "memory.sizes is 0: it must be 1 to"},
      {board + "[link]\nbytes_s = 12.8",
       "devices/board.toml:11: link.bytes_s is 12.8: it must be 1000 to 1e+18"},
      {board + "[power]\nwatts = 5\nidle_watts = 6",
       "devices/board.toml:12: power.idle_watts is more than power.watts"},
      {board + "[power]\nwatts = 0", "power.watts is 0: it must be 1e-06 to 100000"},
      {"cores = -1\n" + board, "devices/board.toml:5: "},  // twice
      {"cores = -1\nkind = \"cpu\"",
       "devices/board.toml:1: cores must be a whole number from 0 to 4294967295"},
      {"kind = \"cpu\"\ncores = 4.5", "cores must be a whole number"},
      {"kind = \"cpu\"\ntitle = \"a\\u001bb\"",
       "devices/board.toml:2: title has a character that is not printable"},
      {board + "[team]\nthreads = 1", "devices/board.toml:10: team must be a list of tables: [[team]]"},
      {"kind = \"cpu\"\nteam = [1]", "team must be a list of tables"},
      {board + "[[team]]\nthread = 1",
       "devices/board.toml:11: [[team]] has no key 'thread': did you mean threads?"},
      {board + "[[team]]\nthreads = 0", "team.threads is 0: it must be 1 to 4096"},
      {board + "[[team]]\nthreads = 1", "team.read_bytes_s is 0: it must be 1000 to 1e+18"},
      {board + "[[team]]\nread_bytes_s = 1e9\nelement_bytes_s = 1e9\n[[team]]\nread_bytes_s = 1e9\n"
               "element_bytes_s = 1e9",
       "team.threads is 1 in two teams"},
      {board + "[[team]]\n[[team.product]]\nmac_s = 1", "type is missing"},
      {board + "[[team]]\n[[team.product]]\ntype = \"Q4_9\"",
       "devices/board.toml:12: type: no type is called 'Q4_9': F32, F16"},
      {board + "[[team]]\nread_bytes_s = 1e9\nelement_bytes_s = 1e9\n[[team.product]]\ntype = "
               "\"Q4_0\"\nleast_rows = 2",
       "team.product.least_rows is 2 and most_rows 1"},
      {board + "[[team]]\n[[team.attention]]\ntype = \"F16\"\nspeed = 1",
       "[[team.attention]] has no key 'speed': known are type, least_rows"},
  };
  for (const auto& [text, message] : kCases) EXPECT_THAT(Refusal(text), HasSubstr(message)) << text;
}

TEST(DeviceFile, HostileTextIsShownPrintable) {
  EXPECT_THAT(Refusal("\"\\u001b[31m\\n\" = 1"),
              AllOf(StartsWith("devices/board.toml:1: unknown key '?[31m?'"), Not(HasSubstr("\x1b"))));
}

TEST(DeviceFile, SizeAndNestingAreLimited) {
  const std::string longest(kMostDeviceFileBytes - std::string_view(kBoard).size(), '#');
  EXPECT_EQ(Refusal(kBoard + longest), "accepted");
  EXPECT_THAT(Refusal(kBoard + longest + "#"), HasSubstr("a device file has at most 262144"));
  EXPECT_THAT(Refusal("title = " + std::string(20000, '[')), StartsWith("devices/board.toml:1: "));
}

TEST(Device, ProvenancesAndKindsHaveNames) {
  EXPECT_EQ(ProvenanceNamed("measured"), Provenance::kMeasured);
  EXPECT_EQ(ProvenanceNamed(NameOf(Provenance::kAssumed)), Provenance::kAssumed);
  EXPECT_EQ(DeviceKindNamed("npu"), DeviceKind::kNpu);
  EXPECT_STREQ(NameOf(DeviceKind::kChip), "chip");
}

}  // namespace
}  // namespace edgewise
