// The flags of one verb: their names, where values go, what --help says. CLI11 parses; it is seen
// by flags.cc only, because each file that includes it costs 8 seconds to compile.
//
// Names are a comma-separated list, "-n,--predict"; short ones of several letters ("-ctk"), which
// the ecosystem has, are allowed. Values must outlive parsing; what they hold beforehand is the
// default that --help shows. A flag given twice, unless it is a list, is an error.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace edgewise {

struct Verb;

// ": did you mean X?" where X of `known` is at most two letters away from `given`, else "".
std::string DidYouMean(std::string_view given, std::span<const std::string_view> known);

class Flags {
 public:
  explicit Flags(const Verb& verb);
  ~Flags();

  // Heading in --help for the flags that follow.
  void Group(std::string title);

  // `what` stands for the value in --help: "N", "FILE".
  void Add(std::string names, std::string& value, std::string what, std::string help);
  void Add(std::string names, int32_t& value, std::string what, std::string help);
  void Add(std::string names, uint32_t& value, std::string what, std::string help);
  void Add(std::string names, uint64_t& value, std::string what, std::string help);
  void Add(std::string names, float& value, std::string what, std::string help);
  void Add(std::string names, double& value, std::string what, std::string help);
  // Absent when not given; --help shows no default.
  void Add(std::string names, std::optional<std::string>& value, std::string what,
           std::string help);
  void Add(std::string names, std::optional<uint32_t>& value, std::string what, std::string help);
  void Add(std::string names, std::optional<uint64_t>& value, std::string what, std::string help);
  // May be given several times.
  void Add(std::string names, std::vector<std::string>& values, std::string what, std::string help);
  // "128,512,1024", or several times.
  void AddList(std::string names, std::vector<uint32_t>& values, std::string what,
               std::string help);
  // One of the names in `choices`.
  void AddChoice(std::string names, std::string& value, std::vector<std::string> choices,
                 std::string help);
  // A flag without a value, which sets `value` to true.
  void AddSwitch(std::string names, bool& value, std::string help);

  // Arguments without a flag, in order.
  void AddPositional(std::string what, std::string& value, std::string help);  // required
  void AddPositional(std::string what, std::optional<std::string>& value, std::string help);

  // Throws Error(kUsage): an unknown flag (naming a similar one), a value that is none, one too
  // many. Returns false when --help was given: then the caller prints Help().
  bool Parse(std::span<const char* const> arguments);
  std::string Help() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace edgewise
