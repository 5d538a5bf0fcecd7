// Files that are well formed but no model: each is refused with one line that says why.
#include "model/model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>

#include "base/error.h"
#include "gguf/test_gguf.h"

namespace edgewise {
namespace {

// A Llama of one layer as a table that a test changes before the file is built.
struct Parts {
  struct Tensor {
    std::vector<uint64_t> dims;
    DType type = DType::kF32;
  };
  struct Entry {
    GgufType type;
    std::string stored;
  };
  std::map<std::string, Entry> entries;
  std::map<std::string, Tensor> tensors;

  Parts() {
    SetText("general.architecture", "llama");
    const std::pair<const char*, uint32_t> counts[] = {{"block_count", 1},
                                                       {"context_length", 64},
                                                       {"embedding_length", 8},
                                                       {"feed_forward_length", 12},
                                                       {"attention.head_count", 4},
                                                       {"attention.head_count_kv", 2},
                                                       {"attention.key_length", 6},
                                                       {"attention.value_length", 6}};
    for (const auto& [key, value] : counts) Set(key, value);
    SetFloat("attention.layer_norm_rms_epsilon", 1e-5f);
    tensors = {{"token_embd.weight", {{8, 5}}},         {"output_norm.weight", {{8}}},
               {"blk.0.attn_norm.weight", {{8}}},       {"blk.0.attn_q.weight", {{8, 24}}},
               {"blk.0.attn_k.weight", {{8, 12}}},      {"blk.0.attn_v.weight", {{8, 12}}},
               {"blk.0.attn_output.weight", {{24, 8}}}, {"blk.0.ffn_norm.weight", {{8}}},
               {"blk.0.ffn_gate.weight", {{8, 12}}},    {"blk.0.ffn_up.weight", {{8, 12}}},
               {"blk.0.ffn_down.weight", {{12, 8}}}};
  }
  void Set(const std::string& key, uint32_t value) {
    entries["llama." + key] = {GgufType::kU32, Raw(value)};
  }
  void SetFloat(const std::string& key, float value) {
    entries["llama." + key] = {GgufType::kF32, Raw(value)};
  }
  void SetDouble(const std::string& key, double value) {
    entries["llama." + key] = {GgufType::kF64, Raw(value)};
  }
  void SetText(const std::string& key, std::string_view value) {
    entries[key] = {GgufType::kString, RawString(value)};
  }

  std::string Build() const {
    RawGguf file;
    for (const auto& [key, entry] : entries) file.Entry(key, entry.type, entry.stored);
    std::string data;
    for (const auto& [name, tensor] : tensors) {
      data.resize((data.size() + 31) / 32 * 32);
      file.Tensor(name, tensor.dims, tensor.type, data.size());
      uint64_t rows = 1;
      for (size_t d = 1; d < tensor.dims.size(); ++d) rows *= tensor.dims[d];
      data.resize(data.size() + rows * RowBytes(tensor.type, tensor.dims[0]));
    }
    return file.Data(data).Build();
  }
};

// The message with which the file is refused; empty when it is a model.
std::string ErrorOf(const Parts& parts) {
  const std::string bytes = parts.Build();
  const Gguf file = Gguf::FromBytes(std::as_bytes(std::span(bytes)), "file");
  try {
    Model::FromGguf(file);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.message().find('\n'), std::string::npos);
    return error.message();
  }
}

TEST(HostileModel, IsOneBeforeItIsChanged) { EXPECT_EQ(ErrorOf(Parts()), ""); }

TEST(HostileModel, IsRefusedWithTheReason) {
  const std::pair<std::function<void(Parts&)>, const char*> cases[] = {
      {[](Parts& p) { p.SetText("general.architecture", "clip\n"); }, "'clip?' is not supported"},
      {[](Parts& p) { p.Set("block_count", 0); }, "block_count is 0"},
      {[](Parts& p) { p.Set("block_count", 1024); }, "blk.1.attn_norm.weight is missing"},
      {[](Parts& p) { p.Set("block_count", 0xffffffff); }, "outside 1..1024"},
      {[](Parts& p) { p.Set("embedding_length", 1 << 20); }, "asks for 1048576 x 5"},
      {[](Parts& p) { p.Set("attention.head_count", 0); }, "head_count is 0"},
      {[](Parts& p) { p.Set("attention.head_count", 3); }, "do not divide"},
      {[](Parts& p) { p.Set("attention.head_count_kv", 16384); }, "do not divide"},
      {[](Parts& p) { p.Set("attention.value_length", 4); }, "value heads of 4"},
      {[](Parts& p) { p.Set("rope.dimension_count", 0); }, "dimension_count is 0"},
      {[](Parts& p) { p.Set("rope.dimension_count", 3); }, "must be even"},
      {[](Parts& p) { p.Set("rope.dimension_count", 8); }, "not larger"},
      {[](Parts& p) { p.Set("context_length", 0xffffffff); }, "outside 1..268435456"},
      {[](Parts& p) { p.Set("expert_count", 8); }, "mixture of experts"},
      {[](Parts& p) { p.SetFloat("attention.layer_norm_rms_epsilon", 0); }, "epsilon is 0"},
      {[](Parts& p) { p.SetFloat("attention.layer_norm_rms_epsilon", NAN); }, "epsilon is nan"},
      // What is a positive number of 64 bits only is none to us.
      {[](Parts& p) { p.SetDouble("attention.layer_norm_rms_epsilon", 1e-300); }, "epsilon is 0"},
      {[](Parts& p) { p.SetDouble("rope.freq_base", 1e300); }, "freq_base is inf"},
      {[](Parts& p) { p.SetDouble("rope.scaling.factor", 1e-300); }, "factor is 0"},
      {[](Parts& p) { p.SetText("llama.rope.scaling.type", "x\x1b["); }, "'x?[' is not supported"},
      {[](Parts& p) { p.tensors.erase("blk.0.ffn_down.weight"); }, "ffn_down.weight is missing"},
      {[](Parts& p) { p.tensors.erase("token_embd.weight"); }, "vocabulary-only"},
      {[](Parts& p) { p.tensors["blk.0.attn_q.weight"].dims = {8, 12, 2}; }, "is 8 x 12 x 2 where"},
      {[](Parts& p) { p.tensors["blk.0.attn_q.weight"].dims = {24, 8}; }, "asks for 8 x 24"},
      {[](Parts& p) { p.tensors["output_norm.weight"].type = DType::kF16; }, "must be F32"},
      {[](Parts& p) { p.tensors["blk.0.attn_q.lora_a"].dims = {8}; }, "has no place"},
      {[](Parts& p) { p.tensors["rope_freqs.weight"].dims = {3}; }, "not a positive number"},
  };
  for (const auto& [change, reason] : cases) {
    Parts parts;
    change(parts);
    EXPECT_NE(ErrorOf(parts).find(reason), std::string::npos)
        << "expected: " << reason << "\nis: " << ErrorOf(parts);
  }
}

}  // namespace
}  // namespace edgewise
