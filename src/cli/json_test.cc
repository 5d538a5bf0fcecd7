#include "cli/json.h"

#include <gtest/gtest.h>

#include <cmath>

namespace edgewise {
namespace {

TEST(Json, KeepsTheOrderOfKeysAndReplacesInPlace) {
  Json json = Json::Object();
  json.Set("z", 1).Set("a", 2.5).Set("z", "x");
  EXPECT_EQ(json.Text(), "{\n  \"z\": \"x\",\n  \"a\": 2.5\n}");
}

TEST(Json, ListsOfPlainValuesStayInOneLine) {
  Json ids = Json::Array();
  ids.Push(1).Push(-2).Push("three");
  Json nested = Json::Array();
  nested.Push(Json::Object()).Push(std::move(ids));
  Json json = Json::Object();
  json.Set("list", std::move(nested));
  EXPECT_EQ(json.Text(), "{\n  \"list\": [\n    {},\n    [1,-2,\"three\"]\n  ]\n}");
}

TEST(Json, NumbersKeepTheirValue) {
  Json json = Json::Object();
  json.Set("u64", uint64_t{18446744073709551615u})
      .Set("i", int64_t{-9007199254740993})
      .Set("f", 0.8f)
      .Set("b", true)
      .Set("nan", NAN)
      .Set("inf", static_cast<double>(INFINITY));
  EXPECT_EQ(json.Text(),
            "{\n  \"u64\": 18446744073709551615,\n  \"i\": -9007199254740993,\n  \"f\": 0.8,\n"
            "  \"b\": true,\n  \"nan\": null,\n  \"inf\": null\n}");
}

TEST(Json, BytesThatAreNoUtf8BecomeTheReplacementCharacter) {
  Json json = Json::Object();
  json.Set("text", "a\xff\"\n");
  EXPECT_EQ(json.Text(), "{\n  \"text\": \"a\xEF\xBF\xBD\\\"\\n\"\n}");
}

}  // namespace
}  // namespace edgewise
