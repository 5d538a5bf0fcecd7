#include "compress/evaluate.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/error.h"
#include "base/thread_pool.h"

namespace edgewise {
namespace {

constexpr uint64_t kLogitsBytes = 64 << 20;

// What one position gives.
struct Score {
  double nll = 0, nll_base = 0;  // of the text's token
  double kl = 0;
  double difference = 0;  // q - p of the text's token
  bool same_top = false;
};

// log of the sum of exp(logit), and where the largest logit is. Sums in double: 150,000 terms.
struct Softmax {
  double log_sum;
  size_t top;
};
Softmax SoftmaxOf(std::span<const float> logits) {
  const size_t top =
      static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - logits[top]);
  return {logits[top] + std::log(sum), top};
}

Score ScoreOf(std::span<const float> logits, TokenId target, const LogitsFile::Row* base) {
  const Softmax q = SoftmaxOf(logits);
  Score score;
  score.nll = q.log_sum - logits[static_cast<size_t>(target)];
  if (base == nullptr) return score;
  const auto log_p = [base](size_t i) { return base->scale * base->codes[i] + base->least; };
  size_t top = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (base->codes[i] > base->codes[top]) top = i;
    // Below, p adds under 1e-7 and the code no longer says how much.
    if (const float lp = log_p(i); lp > -16.0f) {
      score.kl += std::exp(lp) * (lp - (logits[i] - q.log_sum));
    }
  }
  score.nll_base = -double{log_p(static_cast<size_t>(target))};
  score.difference = std::exp(-score.nll) - std::exp(-score.nll_base);
  score.same_top = top == q.top;
  return score;
}

// Sums of one quantity over the positions.
class Mean {
 public:
  void Add(double x) {
    sum_ += x;
    squares_ += x * x;
    ++count_;
  }
  Estimate estimate() const {
    const double mean = sum_ / count_;
    const double variance = std::max(0.0, squares_ / count_ - mean * mean);
    return {mean, count_ > 1 ? std::sqrt(variance / (count_ - 1)) : 0};
  }

 private:
  double sum_ = 0, squares_ = 0, count_ = 0;
};

double Percentile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = at - static_cast<double>(below);
  return (1 - part) * sorted[below] + part * sorted[above];
}

KlStatistics KlOf(const std::vector<Score>& scores) {
  Mean nll, nll_base, kl, difference, squared_difference;
  double products = 0, largest_difference = 0;
  size_t same_top = 0;
  std::vector<double> sorted;
  for (const Score& score : scores) {
    nll.Add(score.nll);
    nll_base.Add(score.nll_base);
    products += score.nll * score.nll_base;
    kl.Add(score.kl);
    sorted.push_back(score.kl);
    difference.Add(score.difference);
    squared_difference.Add(score.difference * score.difference);
    largest_difference = std::max(largest_difference, std::fabs(score.difference));
    same_top += score.same_top;
  }
  std::sort(sorted.begin(), sorted.end());
  const double n = static_cast<double>(scores.size());
  const Estimate q = nll.estimate(), p = nll_base.estimate();
  // Of the two means: as their errors, over n - 1.
  const double covariance = n > 1 ? (products / n - q.value * p.value) / (n - 1) : 0;

  KlStatistics out;
  out.base_perplexity = {std::exp(p.value), std::exp(p.value) * p.error};
  out.log_ratio = {
      q.value - p.value,
      std::sqrt(std::max(0.0, q.error * q.error + p.error * p.error - 2 * covariance))};
  out.correlation = q.error * p.error > 0 ? covariance / (q.error * p.error) : 0;
  out.mean = kl.estimate();
  out.max = sorted.back();
  out.p999 = Percentile(sorted, 0.999);
  out.p99 = Percentile(sorted, 0.99);
  out.p95 = Percentile(sorted, 0.95);
  out.p90 = Percentile(sorted, 0.90);
  out.median = Percentile(sorted, 0.5);
  out.p10 = Percentile(sorted, 0.10);
  out.p5 = Percentile(sorted, 0.05);
  out.p1 = Percentile(sorted, 0.01);
  out.min = sorted.front();
  out.probability_difference = difference.estimate();
  const Estimate mse = squared_difference.estimate();
  const double rms = std::sqrt(mse.value);
  out.probability_difference_rms = {rms, rms > 0 ? mse.error / (2 * rms) : 0};
  out.probability_difference_max = largest_difference;
  const double same = static_cast<double>(same_top) / n;
  out.same_top = {same, n > 1 ? std::sqrt(same * (1 - same) / (n - 1)) : 0};
  return out;
}

EvalResult ResultOf(Estimate nll, uint64_t tokens, const EvalOptions& options, uint32_t chunks) {
  EvalResult result;
  result.context = options.context;
  result.chunks = chunks;
  result.tokens = tokens;
  result.nll = nll.value;
  result.perplexity = {std::exp(nll.value), std::exp(nll.value) * nll.error};
  return result;
}

// Scores a chunk at a time.
class ChunkScorer {
 public:
  ChunkScorer(const LogitsSource& source, const EvalOptions& options)
      : source_(source), options_(options), pool_(std::max(1, options.threads)) {}

  // tokens: one chunk. Appends ScoredPositions(context) scores.
  void Score(std::span<const TokenId> tokens, uint32_t chunk, std::vector<struct Score>& scores) {
    const uint32_t first = FirstScored(options_.context);
    const uint32_t end = options_.context - 1;  // the last position predicts nothing we know
    inputs_.assign(tokens.begin(), tokens.begin() + end);
    if (options_.bos >= 0) inputs_[0] = options_.bos;
    for (uint32_t at = 0; at < end;) {
      const bool scored = at >= first;
      const uint32_t limit = scored ? std::min(end - at, source_.most_rows) : first - at;
      const uint32_t count = std::min(limit, source_.most_tokens);
      const std::span<const float> logits =
          source_.next(at == 0, std::span(inputs_).subspan(at, count), scored ? count : 0);
      if (scored) ScoreRows(logits, tokens.subspan(at + 1, count), chunk, at - first, scores);
      at += count;
    }
  }

 private:
  void ScoreRows(std::span<const float> logits, std::span<const TokenId> targets, uint32_t chunk,
                 uint32_t first_row, std::vector<struct Score>& scores) {
    const uint32_t rows = static_cast<uint32_t>(targets.size());
    const uint64_t row_bytes = LogitsRowBytes(source_.vocab);
    const size_t begin = scores.size();
    scores.resize(begin + rows);
    if (options_.save != nullptr) saved_.resize(rows * row_bytes);
    base_rows_.clear();
    for (uint32_t i = 0; i < rows && options_.base != nullptr; ++i) {
      base_rows_.push_back(options_.base->RowOf(chunk, first_row + i));
    }
    std::atomic<bool> finite{true};
    pool_.Run([&](Worker& worker) {
      worker.ForChunks(rows, 1, [&](uint32_t row, uint32_t) {
        const auto row_logits = logits.subspan(size_t{row} * source_.vocab, source_.vocab);
        if (!std::all_of(row_logits.begin(), row_logits.end(),
                         [](float x) { return std::isfinite(x); })) {
          finite = false;
          return;
        }
        scores[begin + row] = ScoreOf(row_logits, targets[row],
                                      options_.base != nullptr ? &base_rows_[row] : nullptr);
        if (options_.save != nullptr) {
          EncodeLogitsRow(row_logits, std::span(saved_).subspan(row * row_bytes, row_bytes));
        }
      });
    });
    if (!finite) {
      throw Error(ErrorCode::kBadFile, StrCat("chunk ", chunk + 1,
                                              " gives logits that are not "
                                              "finite: the model's weights are damaged"));
    }
    if (options_.save != nullptr) options_.save->Append(saved_);
  }

  const LogitsSource& source_;
  const EvalOptions& options_;
  ThreadPool pool_;
  std::vector<TokenId> inputs_;
  std::vector<std::byte> saved_;
  std::vector<LogitsFile::Row> base_rows_;
};

}  // namespace

uint32_t EvalChunks(size_t tokens, const EvalOptions& options) {
  if (options.context < 4) {
    throw Error(ErrorCode::kUsage, StrCat("a context of ", options.context,
                                          " is too small to score: give -c 4 or more"));
  }
  const uint64_t all = tokens / options.context;
  // One chunk says little; llama-perplexity refuses it too.
  if (all < (options.base != nullptr ? 1 : 2)) {
    throw Error(ErrorCode::kUsage,
                StrCat("the text has ", tokens, " tokens, fewer than two chunks of ",
                       options.context, ": give a longer text or a smaller -c"));
  }
  return static_cast<uint32_t>(options.chunks == 0 ? all : std::min<uint64_t>(options.chunks, all));
}

EvalResult Evaluate(const LogitsSource& source, std::span<const TokenId> tokens,
                    const EvalOptions& options, EvalProgress progress) {
  EDGEWISE_CHECK(source.most_tokens >= 1 && source.most_rows >= 1);
  const uint32_t chunks = EvalChunks(tokens.size(), options);
  ChunkScorer scorer(source, options);
  std::vector<Score> scores;
  Mean nll;  // kept along: summed anew after each of 50,000 chunks it would take longer than those
  EvalResult result;
  for (uint32_t chunk = 0; chunk < chunks; ++chunk) {
    const size_t before = scores.size();
    scorer.Score(tokens.subspan(size_t{chunk} * options.context, options.context), chunk, scores);
    if (options.base != nullptr) options.base->CheckIntact();
    for (size_t i = before; i < scores.size(); ++i) nll.Add(scores[i].nll);
    result = ResultOf(nll.estimate(), scores.size(), options, chunk + 1);
    progress(chunk + 1, chunks, result);
  }
  if (options.base != nullptr) result.kl = KlOf(scores);
  return result;
}

uint32_t EvalLogitRows(uint32_t vocab, uint32_t context) {
  const uint64_t fit = kLogitsBytes / (uint64_t{vocab} * sizeof(float));
  return static_cast<uint32_t>(std::clamp<uint64_t>(fit, 1, std::max(1u, context / 2)));
}

EvalResult Evaluate(Engine& engine, std::span<const TokenId> tokens, const EvalOptions& options,
                    EvalProgress progress) {
  const uint32_t vocab = engine.model().config().vocab;
  EDGEWISE_CHECK(engine.options().context >= options.context);
  if (options.base != nullptr && options.base->vocab() != vocab) {
    throw Error(ErrorCode::kUsage,
                StrCat("the base's vocabulary has ", options.base->vocab(), " tokens, the model's ",
                       vocab, ": compare runs of models with one vocabulary"));
  }
  const auto next = [&engine](bool restart, std::span<const TokenId> chunk, uint32_t rows) {
    if (restart) engine.Truncate(0, 0);
    const Chunk chunks[] = {{.slot = 0, .tokens = chunk, .logit_rows = rows}};
    return engine.Run(chunks);
  };
  const LogitsSource source = {.vocab = vocab,
                               .most_tokens = engine.options().batch,
                               .most_rows = engine.options().logit_rows,
                               .next = next};
  return Evaluate(source, tokens, options, progress);
}

std::vector<TokenId> EvalTokens(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.Encode(text, {.add_special = true, .parse_special = false});
}

}  // namespace edgewise
