#include "cli/inspect_ops.h"

#include <algorithm>

#include "base/strings.h"
#include "cli/table.h"
#include "cli/text.h"
#include "graph/cost.h"
#include "graph/op.h"

namespace edgewise {
namespace {

Step StepOf(const Model& model, const StepShape& shape) {
  Step step;
  const Sequence sequence = {.rows = shape.rows, .kv_len = shape.depth, .logit_rows = 1};
  BuildStep(model, shape.k_type, shape.v_type, {&sequence, 1}, step);
  return step;
}

bool HasLayer(const Op& op) {
  return op.role != Role::kEmbedding && op.role != Role::kOutputNorm && op.role != Role::kHead;
}

// What fills the memory bus: weights and KV. Activations of one step stay in caches.
uint64_t Traffic(const OpCost& cost) {
  return cost.weight_bytes.value() + cost.kv_read.value() + cost.kv_write.value();
}

double Intensity(const OpCost& cost) {
  return Traffic(cost) == 0
             ? 0
             : static_cast<double>(cost.flops.value()) / static_cast<double>(Traffic(cost));
}

std::string Or(uint64_t value) { return value == 0 ? "-" : Grouped(value); }

std::vector<std::string> CostCells(const OpCost& cost) {
  return {Or(cost.flops.value()),
          Or(cost.weight_bytes.value()),
          Or(cost.kv_read.value()),
          Or(cost.kv_write.value()),
          Or(cost.activation_bytes.value()),
          cost.flops.value() == 0 ? "-" : Number(Intensity(cost), "%.2f")};
}

// A run of operators of one layer, or one operator outside the layers.
struct Block {
  size_t first = 0, count = 0;
};

std::vector<Block> BlocksOf(const Step& step) {
  std::vector<Block> blocks;
  for (size_t i = 0; i < step.ops.size(); ++i) {
    const Op& op = step.ops[i];
    const bool joins = !blocks.empty() && HasLayer(op) && HasLayer(step.ops[i - 1]) &&
                       op.layer == step.ops[i - 1].layer;
    if (joins) {
      ++blocks.back().count;
    } else {
      blocks.push_back({i, 1});
    }
  }
  return blocks;
}

bool AreAlike(const Model& model, const Step& step, const Block& a, const Block& b) {
  if (a.count != b.count || !HasLayer(step.ops[a.first]) || !HasLayer(step.ops[b.first])) {
    return false;
  }
  for (size_t i = 0; i < a.count; ++i) {
    const Op &x = step.ops[a.first + i], &y = step.ops[b.first + i];
    if (x.role != y.role || x.n != y.n || x.k != y.k || x.weight != y.weight ||
        CostOf(model, x, step) != CostOf(model, y, step)) {
      return false;
    }
  }
  return true;
}

void SetCost(Json& json, const OpCost& cost) {
  json.Set("flops", cost.flops.value())
      .Set("weight_bytes", cost.weight_bytes.value())
      .Set("kv_read_bytes", cost.kv_read.value())
      .Set("kv_write_bytes", cost.kv_write.value())
      .Set("activation_bytes", cost.activation_bytes.value());
}

}  // namespace

std::string OpsText(const Model& model, const StepShape& shape) {
  const Step step = StepOf(model, shape);
  const std::vector<Block> blocks = BlocksOf(step);
  Table table({"<layer", "<role", "<op", "m", "n", "k", "<weights", "flops", "weight B",
               "KV read B", "KV write B", "activation B", "flop/B"});
  for (size_t i = 0; i < blocks.size();) {
    size_t alike = 1;
    while (i + alike < blocks.size() && AreAlike(model, step, blocks[i], blocks[i + alike]))
      ++alike;
    OpCost sum;
    for (size_t j = 0; j < blocks[i].count; ++j) {
      const Op& op = step.ops[blocks[i].first + j];
      const OpCost cost = CostOf(model, op, step);
      sum += cost;
      std::vector<std::string> cells = {HasLayer(op) ? std::to_string(op.layer) : "",
                                        NameOf(op.role),
                                        NameOf(op.kind),
                                        std::to_string(op.m),
                                        std::to_string(op.n),
                                        std::to_string(op.k),
                                        op.weights == TensorId::kNone ? "" : NameOf(op.weight)};
      const std::vector<std::string> costs = CostCells(cost);
      cells.insert(cells.end(), costs.begin(), costs.end());
      table.Add(std::move(cells));
    }
    if (blocks[i].count > 1) {
      const uint32_t first = step.ops[blocks[i].first].layer;
      std::vector<std::string> cells = {
          alike == 1 ? std::to_string(first) : StrCat(first, "-", first + alike - 1),
          alike == 1 ? "layer" : StrCat("each of ", alike, " layers"),
          "",
          "",
          "",
          "",
          ""};
      const std::vector<std::string> costs = CostCells(sum);
      cells.insert(cells.end(), costs.begin(), costs.end());
      table.Add(std::move(cells));
    }
    i += alike;
  }
  const OpCost total = CostOf(model, step);
  std::vector<std::string> cells = {"", "all", "", "", "", "", ""};
  const std::vector<std::string> costs = CostCells(total);
  cells.insert(cells.end(), costs.begin(), costs.end());
  table.Add(std::move(cells));
  return StrCat("One step of ", shape.rows, shape.rows == 1 ? " token" : " tokens", " behind ",
                shape.depth, ", KV in ", NameOf(shape.k_type), " and ", NameOf(shape.v_type), ": ",
                step.ops.size(), " operators\n", table.ToText(),
                "Arithmetic intensity: ", Number(Intensity(total), "%.2f"),
                " flop per byte of weights and KV\n");
}

Json OpsJson(const Model& model, const StepShape& shape) {
  const Step step = StepOf(model, shape);
  Json ops = Json::Array();
  for (const Op& op : step.ops) {
    Json json = Json::Object();
    json.Set("op", NameOf(op.kind)).Set("role", NameOf(op.role));
    if (HasLayer(op)) json.Set("layer", op.layer);
    json.Set("m", op.m).Set("n", op.n).Set("k", op.k);
    if (op.weights != TensorId::kNone) {
      json.Set("tensor", model.weight(op.weights).name).Set("type", NameOf(op.weight));
    }
    SetCost(json, CostOf(model, op, step));
    ops.Push(std::move(json));
  }
  const OpCost total = CostOf(model, step);
  Json totals = Json::Object();
  SetCost(totals, total);
  totals.Set("flops_per_byte", Intensity(total));
  Json json = Json::Object();
  json.Set("rows", shape.rows)
      .Set("depth", shape.depth)
      .Set("k_type", NameOf(shape.k_type))
      .Set("v_type", NameOf(shape.v_type))
      .Set("total", std::move(totals))
      .Set("ops", std::move(ops));
  return json;
}

}  // namespace edgewise
