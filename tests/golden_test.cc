// Worked numbers about chips, models and devices, as a table on which others can check us: every row is
// answered by the product's own functions. EDGEWISE_GOLDEN names another table.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/test_files.h"
#include "golden_answers.h"
#include "graph/workload.h"

namespace edgewise {
namespace {

using ::testing::HasSubstr;

std::string GoldenPath() {
  const char* chosen = std::getenv("EDGEWISE_GOLDEN");
  return chosen != nullptr && *chosen != '\0' ? chosen : EDGEWISE_SOURCE_DIR "/tests/data/golden.csv";
}

void CheckRow(const GoldenRow& row) {
  try {
    const Answer answer = AnswerOf(row);
    EXPECT_TRUE(Agrees(row, answer)) << TextOf(answer) << " instead of " << row.expected << " ("
                                     << row.tolerance << ")";
  } catch (const Error& error) {
    ADD_FAILURE() << error.message();
  }
}

TEST(Golden, EveryRowIsAnsweredRight) {
  const std::string path = GoldenPath();
  ASSERT_TRUE(std::filesystem::is_regular_file(path)) << path;
  const std::vector<GoldenRow> rows = ParseGolden(ReadFile(path));
  size_t printed = 0;
  for (const GoldenRow& row : rows) {
    SCOPED_TRACE(row.id + " " + row.op + ": " + row.what);
    if (row.IsPrintedFigure()) ++printed;
    CheckRow(row);
  }
  std::printf("%s: %zu rows checked; %zu of them reproduce what a document printed\n", path.c_str(),
              rows.size(), printed);
  EXPECT_FALSE(rows.empty()) << "a table without a row checks nothing";
}

// ---- the table's own reader and the models that rows describe ----

constexpr char kHead[] = "id,seed,what,inputs,expected,unit,tolerance,status,note\n";

GoldenRow RowOf(const std::string& inputs, const std::string& expected = "0",
                const std::string& tolerance = "exact", const std::string& note = "") {
  return ParseGolden(StrCat(kHead, "X,0,w,\"", inputs, "\",", expected, ",u,", tolerance, ",s,", note))[0];
}

TEST(GoldenFile, ReadsQuotedFields) {
  const auto rows = ParseGolden(StrCat(kHead,
                                       "G1,0,\"a \"\"b\"\", c\",\"op=matmul;A=5,5|5,1\",\"1,2\",,exact,s,"
                                       "\"two\nlines\"\r\n\nG2,0,x,op=y,3,u,rel:0.1,s,\n"));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].what, "a \"b\", c");
  EXPECT_EQ(rows[0].op, "matmul");
  EXPECT_EQ(rows[0].Text("A"), "5,5|5,1");
  EXPECT_EQ(rows[0].expected, "1,2");
  EXPECT_EQ(rows[0].note, "two\nlines");
  EXPECT_EQ(rows[1].op, "y");
}

TEST(GoldenFile, RefusesWhatIsNoTable) {
  const auto refusal = [](const std::string& text) {
    return MessageOf(ErrorCode::kBadFile, [&] { ParseGolden(text); });
  };
  EXPECT_THAT(refusal(""), HasSubstr("record 1"));
  EXPECT_THAT(refusal("id,what\n"), HasSubstr("record 1"));
  EXPECT_THAT(refusal(StrCat(kHead, "G1,0,x\n")), HasSubstr("record 2: 3 fields instead of 9"));
  EXPECT_THAT(refusal(StrCat(kHead, "G1,0,x,n=8,1,u,exact,s,\n")), HasSubstr("G1: no op"));
  EXPECT_THAT(refusal(StrCat(kHead, "G1,0,x,op=a;n,1,u,exact,s,\n")), HasSubstr("'n' is no key=value"));
  EXPECT_THAT(refusal(StrCat(kHead, "G1,0,x,op=a;n=1;n=2,1,u,exact,s,\n")), HasSubstr("n is given twice"));
  EXPECT_THAT(refusal(StrCat(kHead, "G1,0,\"x\n")), HasSubstr("has no end"));
  EXPECT_THAT(refusal(StrCat(kHead, "G,0,x,op=a,1,u,exact,s,\nG,0,x,op=a,1,u,exact,s,\n")),
              HasSubstr("two rows are called G"));
}

TEST(GoldenFile, TolerancesAreKept) {
  EXPECT_TRUE(Agrees(RowOf("op=a", "0.125"), 0.125));
  EXPECT_FALSE(Agrees(RowOf("op=a", "0.125"), std::nextafter(0.125, 1)));
  EXPECT_TRUE(Agrees(RowOf("op=a", "200", "rel:0.01"), 202.0));
  EXPECT_FALSE(Agrees(RowOf("op=a", "200", "rel:0.01"), 197.9));
  EXPECT_TRUE(Agrees(RowOf("op=a", "-200", "rel:0.01"), -201.0));
  EXPECT_FALSE(Agrees(RowOf("op=a", "200", "rel:0.01"), std::nan("")));
  EXPECT_TRUE(Agrees(RowOf("op=a", "0.5", "abs:0.1"), 0.4375));
  EXPECT_FALSE(Agrees(RowOf("op=a", "0.5", "abs:0.1"), 0.625));
  EXPECT_TRUE(Agrees(RowOf("op=a", "yes"), std::string("yes")));
  EXPECT_FALSE(Agrees(RowOf("op=a", "yes"), std::string("no")));
  MessageOf(ErrorCode::kBadFile, [] { Agrees(RowOf("op=a", "1", "about"), 1.0); });
}

TEST(GoldenFile, PrintedFiguresAreKnown) {
  EXPECT_TRUE(RowOf("op=tps_mem_printed").IsPrintedFigure());
  EXPECT_TRUE(RowOf("op=kv_formula_ctx").IsPrintedFigure());
  EXPECT_TRUE(RowOf("op=blocks", "1", "exact", "wrong premise").IsPrintedFigure());
  EXPECT_FALSE(RowOf("op=blocks").IsPrintedFigure());
}

TEST(GoldenAnswers, WrongAnswersAreFound) {
  GoldenRow row = RowOf("op=blocks;rows=9;cols=8;n=8", "1");
  EXPECT_FALSE(Agrees(row, AnswerOf(row)));
  row.expected = "2";
  EXPECT_TRUE(Agrees(row, AnswerOf(row)));
}

TEST(GoldenAnswers, RowsThatNoChipCanHaveAreRefused) {
  for (const char* inputs : {"op=tile_cycles;n=8;macs=513", "op=tile_ops;n=0", "op=tile_ops;n=8.5",
                             "op=tile_gops;n=8;cycles=0;units=1;f=1e8", "op=matmul;A=1,2|3;B=1,1|1,1",
                             "op=matmul;A=1,2;B=1", "op=wrap32;v=0.5", "op=tile_bytes;n=8;elem=3;mats=1",
                             "op=params;d=64;ff=64;L=1;V=9;kv=64;ffn=4", "op=tps_mem;bw=1;gb=0",
                             "op=err_bound;W=1,2;eps=1", "op=err_bound;W=1;eps=x",
                             "op=kd;alpha=1;T=0;t=1;s=1;y=0", "op=kd;alpha=1;T=1;t=1,2;s=1,2;y=2",
                             "op=kv_token;L=1e9;kvh=1;hd=1;bits=8"}) {
    SCOPED_TRACE(inputs);
    EXPECT_THROW(AnswerOf(RowOf(inputs)), Error);
  }
}

// A row describes a network by its widths; the same blocks come out as of the network of that name.
TEST(GoldenAnswers, ModelsDescribedByWidthsAreThoseWithNames) {
  struct Case {
    const char* name;
    const char* inputs;
  };
  for (const Case& c : {Case{"gpt2-small", "d=768;ff=3072;L=12;V=50257;kv=768;ffn=2;head=1"},
                        Case{"bert-base", "d=768;ff=3072;L=12;V=30522;kv=768;ffn=2;head=0"},
                        Case{"tinyllama-1.1b", "d=2048;ff=5632;L=22;V=32000;kv=256;ffn=3;head=1"},
                        Case{"llama2-7b", "d=4096;ff=11008;L=32;V=32000;kv=4096;ffn=3;head=1"}}) {
    const GoldenRow row = RowOf(StrCat("op=flops_token;ctx=0;", c.inputs));
    const double macs = static_cast<double>(WorkloadNamed(c.name, {}).macs(false));
    EXPECT_EQ(TextOf(AnswerOf(row)), TextOf(2 * macs)) << c.name;
  }
}

TEST(GoldenAnswers, UnknownOpsFail) {
  EXPECT_THAT(MessageOf(ErrorCode::kUnsupported, [] { AnswerOf(RowOf("op=tile_op;n=8")); }),
              HasSubstr("'tile_op'"));
}

TEST(GoldenAnswers, NoOpIsInBothLists) {
  for (const GoldenOp& chip : ChipOps()) {
    for (const GoldenOp& formula : FormulaOps()) EXPECT_STRNE(chip.name, formula.name);
  }
}

}  // namespace
}  // namespace edgewise
