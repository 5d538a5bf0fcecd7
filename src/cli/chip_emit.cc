// A design as SystemVerilog: our RTL with its parameters set, and a product to check it by.
#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "chip/cycle_simulator.h"
#include "chip/lower.h"
#include "chip/tiler.h"
#include "cli/chip_execute.h"
#include "cli/chip_options.h"
#include "cli/chip_sources.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "machine/chip_cost.h"
#include "machine/chip_file.h"

namespace edgewise {
namespace {

namespace fs = std::filesystem;

struct EmitFlags {
  ChipFlags chip;
  std::string output;
  bool json = false;
};

// One of the machines in rtl/, as large as a design wants it.
struct Variant {
  std::string module;
  std::vector<std::string> files;
  std::string parameters;  // ".N(8), .S(2048)"
  bool streams = false;
  uint64_t n = 0;
};

// What keeps a design from being one of ours, a field at a time.
class Matcher {
 public:
  explicit Matcher(const ChipDesign& design) : design_(design) {}

  void Need(bool condition, const char* field, const std::string& wanted) const {
    if (condition) return;
    throw Error(ErrorCode::kUnsupported,
                StrCat("chip ", design_.name, " has no RTL: ", field, " is ", ChipFieldText(design_, field),
                       ", our ", module_, " has ", wanted));
  }
  void set_module(const char* module) { module_ = module; }

 private:
  const ChipDesign& design_;
  const char* module_ = "RTL";
};

Variant HostDriven(const ChipDesign& d, Matcher& match) {
  match.set_module(d.accumulate ? "compact_16mac" : "compact");
  match.Need(d.host == HostInterface::kAxiLite, "host.interface", "axi-lite");
  match.Need(d.datapath == Datapath::kInt32, "array.datapath", "int32");
  match.Need(std::has_single_bit(d.rows) && d.rows >= 2 && d.rows <= 16, "array.rows", "2, 4, 8 or 16");
  match.Need(d.cols == d.rows, "array.cols", "as many as array.rows");
  match.Need(d.depth == d.rows, "array.depth", "as many as array.rows");
  match.Need(d.arrays == 1, "array.arrays", "1");
  match.Need(d.zero_skip == ZeroSkip::kNone, "array.zero_skip", NameOf(ZeroSkip::kNone));
  match.Need(d.start_cycles == 1, "timing.start_cycles", "1");
  match.Need(d.write_cycles == 1, "host.write_cycles", "1");
  match.Need(d.read_cycles == 2, "host.read_cycles", "2");
  match.Need(d.control_cycles == 1, "host.control_cycles", "1");
  Variant variant = {.module = "compact", .files = {}, .parameters = StrCat(".N(", d.rows, ")"), .n = d.rows};
  if (!d.accumulate) {
    match.Need(d.macs == 1, "array.macs", "1");
    match.Need(d.result_cycles == 2, "timing.result_cycles", "2");
    variant.files = {"compact.sv", "compact_control.sv", "axi_lite_slave.sv", "mac.sv"};
    return variant;
  }
  match.Need(d.macs % d.rows == 0 && std::has_single_bit(d.macs / d.rows) && 2 * d.macs <= d.rows * d.rows,
             "array.macs", "a power of two times array.rows, at most half a tile's outputs");
  match.Need(d.result_cycles == 0, "timing.result_cycles", "0");
  variant.module = "compact_16mac";
  variant.parameters += StrCat(", .MACS(", d.macs, ")");
  variant.files = {"compact_16mac.sv", "axi_lite_slave.sv", "mac.sv"};
  return variant;
}

Variant Systolic(const ChipDesign& d, Matcher& match) {
  match.set_module("systolic");
  match.Need(d.datapath == Datapath::kInt8, "array.datapath", "int8");
  match.Need(d.rows >= 2 && d.rows <= 128, "array.rows", "2 to 128");
  match.Need(d.cols == d.rows, "array.cols", "as many as array.rows");
  match.Need(d.arrays == 1, "array.arrays", "1");
  match.Need(d.latency_cycles == 0, "memory.latency_cycles", "none: the stream is all it sees");
  match.Need(d.bus_bytes >= d.rows, "memory.bus_bytes", "a beat of array.cols bytes a cycle");
  match.Need(BeatCycles(d, d.rows) == 1, "memory.bytes_s", "a beat of array.cols bytes a cycle");
  const uint64_t beats = d.scratch_words * d.scratch_word_bits / 8 / d.rows;
  match.Need(beats <= 65536, "scratchpad.words", "at most 65,536 columns of activations");
  return {.module = "systolic",
          .files = {"systolic.sv", "systolic_element.sv", "mac.sv"},
          .parameters = StrCat(".N(", d.rows, "), .S(", beats, ")"),
          .streams = true,
          .n = d.rows};
}

Variant VariantOf(const ChipDesign& design) {
  Matcher match(design);
  match.Need(design.kind == ArrayKind::kSequential || design.kind == ArrayKind::kOutputStationary,
             "array.kind", "sequential or output-stationary");
  match.Need(design.chips == 1, "chips.count", "1");
  return design.kind == ArrayKind::kSequential ? HostDriven(design, match) : Systolic(design, match);
}

// A name that Verilog takes: letters, digits and underscores.
std::string ModuleName(const std::string& design) {
  std::string name = "chip_";
  for (const char c : design) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

std::string_view SourceOf(std::string_view name) {
  for (const EmbeddedFile& file : ChipSources()) {
    if (file.name == name) return file.text;
  }
  throw std::logic_error(StrCat("no source ", name));
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// The module of the design's own name: the variant's ports, its parameters set.
std::string TopText(const ChipDesign& design, const Variant& v, const std::string& top) {
  const std::string_view source = SourceOf(v.module + ".sv");
  const size_t open = source.find("\n) (\n") + 5, close = source.find("\n);", open);
  EDGEWISE_CHECK(open != std::string_view::npos + 5 && close != std::string_view::npos);
  std::string ports(source.substr(open, close - open));
  ports =
      Replaced(Replaced(ports, "8*BEAT", StrCat(8 * std::max<uint64_t>(v.n, 8))), "32*N", StrCat(32 * v.n));
  return StrCat("// ", design.name, ": ", design.summary, ".\nmodule ", top, " (\n", ports, "\n);\n  ",
                v.module, " #(", v.parameters, ") chip (.*);\nendmodule\n");
}

std::string Hex(uint64_t value, int digits) {
  std::array<char, 24> text;
  std::snprintf(text.data(), text.size(), "%0*llx", digits, static_cast<unsigned long long>(value));
  return text.data();
}

// A small product with edges in all dimensions, as the pins see it, and what must come out.
struct Check {
  chip::Product product;
  std::string program, results;  // in hexadecimal, a line each
  uint64_t operations = 0, result_lines = 0, cycles = 0;
};

Check MakeCheck(const ChipDesign& design, const Variant& v) {
  Check check;
  check.product = {v.n + 1, v.n + v.n / 2, 2 * v.n + 1};
  const chip::Product& p = check.product;
  ThreadPool pool(1);
  const RandomIntegers a(p.m, p.k, 8, 1, pool), w(p.n, p.k, 8, 2, pool);
  const chip::Tiling tiling = chip::TileProduct(design, p);
  const chip::Outcome outcome = chip::CycleSimulator(design).Run(tiling, a.view(), w.view());
  check.cycles = outcome.cycles;
  const uint64_t words = v.streams ? v.n : 1;  // of a line; word 0 is the lowest, so the last in text
  check.result_lines = outcome.results.size() / words;
  for (uint64_t line = 0; line < check.result_lines; ++line) {
    for (uint64_t i = words; i-- > 0;) check.results += Hex(outcome.results[line * words + i], 8);
    check.results += '\n';
  }
  if (v.streams) {
    for (const chip::Beat& beat : chip::LowerToStream(design, tiling, a.view(), w.view())) {
      for (size_t i = beat.bytes.size(); i-- > 0;) check.program += Hex(beat.bytes[i], 2);
      check.program += '\n';
      ++check.operations;
    }
  } else {
    for (const chip::BusOp& op : chip::LowerToBus(design, tiling, a.view(), w.view())) {
      check.program +=
          StrCat(Hex(static_cast<uint64_t>(op.kind), 1), Hex(op.address, 3), Hex(op.data, 8), "\n");
      ++check.operations;
    }
  }
  return check;
}

std::string CheckText(const Variant& v, const Check& check, const std::string& top) {
  std::string text(SourceOf(v.streams ? "check_stream.sv" : "check_bus.sv"));
  text = Replaced(text, "{{TOP}}", top);
  text = Replaced(text, "{{N}}", StrCat(v.n));
  text = Replaced(text, "{{BEAT}}", StrCat(std::max<uint64_t>(v.n, 8)));
  text = Replaced(text, "{{OPS}}", StrCat(check.operations));
  text = Replaced(text, "{{RESULTS}}", StrCat(check.result_lines));
  return Replaced(text, "{{CYCLES}}", StrCat(check.cycles));
}

std::string Makefile(const Variant& v, const std::string& top) {
  std::string files = top + ".sv";
  for (const std::string& file : v.files) files += " " + file;
  return StrCat("SOURCES = ", files, R"(

# With Verilator 5 or later. Exits with an error unless results and cycles are those expected.
check: check.sv $(SOURCES)
	verilator --binary --timing -Wno-fatal -Wno-WIDTH --top-module check -o check check.sv $(SOURCES)
	obj_dir/check

# Cells of the chip, by yosys.
cells: $(SOURCES)
	yosys -q -p "read_verilog -sv $(SOURCES); synth -top )", top, R"(; stat"

.PHONY: check cells
)");
}

std::string ReadmeText(const ChipDesign& design, const Variant& v, const Check& check,
                       const std::string& top) {
  Table table({"m", "n", "k", "tiles", "cycles"});
  for (const chip::Product& p :
       {chip::Product{1, v.n, v.n}, {v.n, v.n, v.n}, {1, 2048, 2048}, {8, 2048, 2048}}) {
    const ChipCost cost = PriceProduct(design, {p.m, p.n, p.k});
    table.Add({Grouped(p.m), Grouped(p.n), Grouped(p.k), Grouped(cost.tiles), Grouped(cost.cycles)});
  }
  const chip::Product& c = check.product;
  return StrCat(
      "# ", design.name, "\n\n", design.summary, ". `", top, "` in ", top, ".sv is `", v.module,
      "` with its parameters set: ", v.parameters, ". The comments at the head of ", v.module,
      ".sv say how it is spoken to, and when it answers.\n\n`make check` plays a product of ", c.m, " x ",
      c.n, " x ", c.k, " (m, n, k) in Verilator: ", Grouped(check.cycles),
      " clock edges, from the first at which the chip could accept something to the last result, and "
      "results to the bit. `make cells` counts cells with yosys. chip.toml describes the design to "
      "edgewise (`edgewise chip table --chip ./chip.toml`).\n\nCycles of some products C [m, n] = "
      "A [m, k] x W [n, k], when nothing stalls:\n\n",
      table.ToText());
}

struct Written {
  std::vector<std::string> names;
};

void WriteFile(const fs::path& folder, const std::string& name, std::string_view text, Written& written) {
  AtomicFile file((folder / name).string());
  file.Write(text);
  file.Commit();
  written.names.push_back(name);
}

void MakeFolder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error || !fs::is_directory(path, error)) {
    throw Error(ErrorCode::kIo, StrCat(Printable(path, 200), ": cannot make this folder",
                                       error ? ": " + error.message() : ""));
  }
}

int Emit(const EmitFlags& flags) {
  const ChipDesign design = flags.chip.Design();
  const Variant variant = VariantOf(design);
  const std::string top = ModuleName(design.name);
  const Check check = MakeCheck(design, variant);
  MakeFolder(flags.output);
  const fs::path folder = flags.output;
  Written written;
  for (const std::string& file : variant.files) WriteFile(folder, file, SourceOf(file), written);
  WriteFile(folder, top + ".sv", TopText(design, variant, top), written);
  WriteFile(folder, "check.sv", CheckText(variant, check, top), written);
  WriteFile(folder, "program.hex", check.program, written);
  WriteFile(folder, "results.hex", check.results, written);
  WriteFile(folder, "chip.toml", WriteChip(design), written);
  WriteFile(folder, "Makefile", Makefile(variant, top), written);
  WriteFile(folder, "README.md", ReadmeText(design, variant, check, top), written);

  if (flags.json) {
    Json files = Json::Array();
    for (const std::string& name : written.names) files.Push(name);
    Json json = Json::Object();
    json.Set("chip", design.name)
        .Set("module", variant.module)
        .Set("parameters", variant.parameters)
        .Set("top", top)
        .Set("folder", flags.output)
        .Set("files", std::move(files))
        .Set("check_cycles", check.cycles);
    json.Print();
    return 0;
  }
  std::printf(
      "%s: %s #(%s), module %s, in %zu files under %s\nA product of %llu x %llu x %llu must take it %s "
      "cycles (simulated): make -C %s check (Verilator 5)\n",
      design.name.c_str(), variant.module.c_str(), variant.parameters.c_str(), top.c_str(),
      written.names.size(), flags.output.c_str(), static_cast<unsigned long long>(check.product.m),
      static_cast<unsigned long long>(check.product.n), static_cast<unsigned long long>(check.product.k),
      Grouped(check.cycles).c_str(), flags.output.c_str());
  return 0;
}

VerbMain Add(Flags& flags) {
  auto options = std::make_shared<EmitFlags>();
  options->chip.AddTo(flags);
  flags.Add("-o,--output", options->output, "DIR", "the folder to write to; made when it is not there");
  flags.AddSwitch("--json", options->json, "one JSON document instead of the summary");
  return [options] {
    if (options->output.empty()) throw Error(ErrorCode::kUsage, "-o DIR is missing: where the sources go");
    return Emit(*options);
  };
}

}  // namespace

const Verb kChipEmitVerb = {
    .name = "chip emit",
    .summary = "a chip as SystemVerilog, with a product to check it by",
    .description =
        "For designs of a kind that we have RTL of: one 8 x 8 unit as it was documented (compact), with "
        "several MACs and sums on chip (compact-16mac), an int8 systolic array (systolic-8x8), and other "
        "sizes of these. The folder has a Makefile: make check holds results and cycles by Verilator.",
    .examples =
        "edgewise chip emit --chip systolic-8x8 --set array.rows=16 --set array.cols=16 "
        "--set memory.bus_bytes=16 -o systolic16\n",
    .add = Add};

}  // namespace edgewise
