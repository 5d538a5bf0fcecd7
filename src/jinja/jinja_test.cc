#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/strings.h"
#include "jinja/eval.h"
#include "jinja/parser.h"
#include "jinja/text.h"

namespace edgewise::jinja {
namespace {

using Json = nlohmann::ordered_json;

const std::string kTests = EDGEWISE_SOURCE_DIR "/tests/";

Value FromJson(Run& run, const Json& json) {
  switch (json.type()) {
    case Json::value_t::null: return Value::None();
    case Json::value_t::boolean: return Value::Bool(json.get<bool>());
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned: return Value::Int(json.get<int64_t>());
    case Json::value_t::number_float: return Value::Float(json.get<double>());
    case Json::value_t::string: return run.String(json.get<std::string>());
    case Json::value_t::array: {
      std::vector<Value> items;
      for (const Json& item : json) items.push_back(FromJson(run, item));
      return run.List(std::move(items));
    }
    default: {
      const Value dict = run.MakeDict();
      for (const auto& [key, value] : json.items()) {
        run.Set(dict.dict(), run.String(key), FromJson(run, value));
      }
      return dict;
    }
  }
}

std::string Render(std::string_view source, const Json& context = Json::object(),
                   const Limits& limits = Limits{}) {
  const auto program = ParseTemplate(source);
  Run run(limits);
  std::vector<std::pair<std::string, Value>> globals;
  for (const auto& [key, value] : context.items()) globals.emplace_back(key, FromJson(run, value));
  return Evaluator(run, *program, globals).Execute();
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

// The error that rendering ends with, as its code and message.
std::pair<ErrorCode, std::string> ErrorOf(std::string_view source, const Limits& limits = Limits{}) {
  try {
    const std::string text = Render(source, Json::object(), limits);
    ADD_FAILURE() << "no error, but: " << text.substr(0, 200) << "\nof: " << source.substr(0, 200);
  } catch (const Error& error) {
    EXPECT_EQ(error.message().find('\n'), std::string::npos) << "an error is one line";
    return {error.code(), error.message()};
  }
  return {ErrorCode::kIo, ""};
}

// expected.json, whose results python3-jinja2 3.1.2 gave.
TEST(JinjaTest, RendersEveryCaseAsPythonDoes) {
  const std::string data = kTests + "data/templates/";
  const Json expected = Json::parse(ReadFile(data + "expected.json"));
  const Json conversations = Json::parse(ReadFile(data + "conversations.json"));
  const Json context = Json::parse(ReadFile(data + "expressions.json"))["context"];
  int texts = 0;
  for (const Json& result : expected) {
    const bool is_file = result.contains("file");
    const std::string source = is_file ? ReadFile(data + result["file"].get<std::string>())
                                       : result["template"].get<std::string>();
    SCOPED_TRACE(result.dump().substr(0, 300));
    try {
      const std::string text =
          Render(source, is_file ? conversations[result["conversation"].get<size_t>()] : context);
      ASSERT_TRUE(result.contains("text")) << "Python raises an exception, we give: " << text;
      EXPECT_EQ(text, result["text"].get<std::string>());
      ++texts;
    } catch (const Error& error) {
      EXPECT_FALSE(result.contains("text")) << error.message();
    }
  }
  EXPECT_GE(texts, 350);
}

// The same results from the Jinja of this machine, so that expected.json cannot go stale.
TEST(JinjaTest, ExpectedResultsAreThoseOfPythonHere) {
  if (std::system("/usr/bin/python3 -c 'import jinja2' 2>/dev/null") != 0) {
    GTEST_SKIP() << "/usr/bin/python3 has no jinja2";
  }
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
      popen(("/usr/bin/python3 '" + kTests + "render_templates.py'").c_str(), "r"), pclose);
  ASSERT_NE(pipe, nullptr);
  std::string output;
  std::array<char, 65536> buffer;
  while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) {
    output.append(buffer.data(), count);
  }
  const Json now = Json::parse(output);
  const Json expected = Json::parse(ReadFile(kTests + "data/templates/expected.json"));
  ASSERT_EQ(now.size(), expected.size());
  for (size_t i = 0; i < now.size(); ++i) EXPECT_EQ(now[i], expected[i]);
}

TEST(JinjaTest, UnsupportedConstructsAreNamedWithTheirLine) {
  const std::pair<std::string_view, std::string_view> kCases[] = {
      {"a\n{% include 'x' %}", "line 2: the tag 'include'"},
      {"{% extends 'x' %}", "line 1: the tag 'extends'"},
      {"\n\n{% block b %}{% endblock %}", "line 3: the tag 'block'"},
      {"{% import 'x' as y %}", "the tag 'import'"},
      {"{% for x in y recursive %}{% endfor %}", "a recursive loop"},
      {"x\n{{ 1 | groupby('a') }}", "line 2: the filter 'groupby'"},
      {"{{ 1 is escaped }}", "line 1: the test 'escaped'"},
      {"{% if true %}\n{{ 1 | groupby('a') }}{% endif %}", "line 2: the filter 'groupby'"},
      {"{{ '%d' % 1 }}", "formatting with '%'"},
      {"{{ '{:d}'.format(1) }}", "format() with a conversion"},
      {"{{ 'a'.zfill(3) }}", "the string method 'zfill'"},
      {"{{ cycler('a') }}", "the global 'cycler'"},
      {"{{ range(3) }}", "printing a range"},
      {"{{ 'a'.upper }}", "printing a method"},
      {"{{ [1][0, 1] }}", "a subscript of several indices"},
      {"{{ 'é'.isalpha() }}", "isalpha of a text outside ASCII"},
      {"{{ é }}", "a character outside ASCII"},
      {"{{ ('a' | safe).upper() }}", "behind the filter 'safe'"},
      {"{{ '\\N{DASH}' }}", "an escape \\N"},
      {"{% for x in [1] %}{{ loop.changed(x) }}{% endfor %}", "loop.changed"}};
  for (const auto& [source, message] : kCases) {
    const auto [code, text] = ErrorOf(source);
    EXPECT_EQ(code, ErrorCode::kUnsupported) << source << ": " << text;
    EXPECT_NE(text.find(message), std::string::npos) << source << ": " << text;
  }
}

TEST(JinjaTest, SyntaxErrorsNameTheirLine) {
  const std::pair<std::string_view, std::string_view> kCases[] = {
      {"a\nb {{ 1 +", "line 2: the tag opened in line 2 is not closed"},
      {"\n{% if true %}\n", "line 2: expected 'endif', found the end of the template"},
      {"{{ 'abc", "line 1: a string without end"},
      {"{%\nif\n%}", "line 3: expected an expression, found '%}'"},
      {"{% frobnicate %}", "line 1: unknown tag 'frobnicate'"},
      {"{% macro f(x) %}\n{% break %}{% endmacro %}", "line 2: 'break' outside of a loop"},
      {"{% for x in [1] %}{% set y %}{% continue %}{% endset %}{% endfor %}", "outside of a loop"},
      {"\n{# x", "line 2: the comment opened in line 2 is not closed"}};
  for (const auto& [source, message] : kCases) {
    const auto [code, text] = ErrorOf(source);
    EXPECT_EQ(code, ErrorCode::kBadFile) << source << ": " << text;
    EXPECT_NE(text.find(message), std::string::npos) << source << ": " << text;
  }
}

TEST(JinjaTest, RuntimeErrorsNameTheirLineAndVariable) {
  EXPECT_EQ(ErrorOf("a\n{{ x.y }}").second,
            "chat template, line 2: 'x' is undefined, so has no attribute 'y'");
  EXPECT_EQ(ErrorOf("{% macro f(a) %}{% endmacro %}\n{{ f(b=1) }}").second,
            "chat template, line 2: the macro 'f' takes no argument 'b'");
  EXPECT_EQ(ErrorOf("{{ raise_exception('no\nway') }}").second,
            "the chat template refuses these messages: no?way");
}

std::string Repeat(std::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

TEST(JinjaTest, HostileTemplatesMeetALimit) {
  const std::string cases[] = {
      "{{ 'a' * 10**9 }}",
      "{{ 'a' * 9223372036854775807 }}",
      "{{ [0] * 10**9 }}",
      "{{ range(10**9) | list }}",
      "{{ 9223372036854775807 + 1 }}",
      "{{ 2 ** 64 }}",
      "{{ 99999999999999999999 }}",
      "{% set n = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
      "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
      "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}",
      "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s | tojson }}",
      "{% set n = namespace(s=[1], t=[1]) %}{% for i in range(99) %}{% set n.s = [n.s, n.s] %}"
      "{% set n.t = [n.t, n.t] %}{% endfor %}{{ n.s == n.t }}",
      "{% set n = namespace() %}{% set n.n = n %}{{ n }}",
      "{% set n = namespace(s=[]) %}{% for i in range(9999) %}{% set n.s = [n.s] %}{% endfor %}{{ n.s }}",
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f(x=f()) %}{% endmacro %}{{ f() }}",
      "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% for a in range(10**5) %}{% for b in range(10**5) %}{% endfor %}{% endfor %}",
      "{% for a in range(10**5) %}{{ 'x' * 10**4 }}{% endfor %}",
      "{{ ('a' * 10**6).replace('a', 'b' * 10**6) }}",
      "{{ ('a' * 10**6) | replace('', 'b' * 100) }}",
      "{{ ('a,' * 10**6).split(',') }}",
      "{{ ('a' * 10**6) | list | join('x' * 100) }}",
      "{{ ('a\n' * 10**5) | indent(10**4) }}",
      "{{ 'a' | " + Repeat("list|", 10) + "map(" + Repeat("'map',", 5000) + "'list') | list }}",
      "{{ " + Repeat("(", 5000) + "1" + Repeat(")", 5000) + " }}",
      "{{ " + Repeat("[", 5000) + Repeat("]", 5000) + " }}",
      "{{ " + Repeat("{1:", 5000) + "1" + Repeat("}", 5000) + " }}",
      "{{ " + Repeat("-", 5000) + "1 }}",
      "{{ " + Repeat("not ", 5000) + "1 }}",
      "{{ " + Repeat("1 if 1 else ", 5000) + "1 }}",
      "{{ 1" + Repeat(" + 1", 5000) + " }}",
      "{{ x" + Repeat(".a", 5000) + " }}",
      "{{ ''" + Repeat("|upper", 5000) + " }}",
      "{% filter upper" + Repeat("|upper", 5000) + " %}{% endfilter %}",
      "{{ x" + Repeat("[0", 5000) + Repeat("]", 5000) + " }}",
      "{{ f(" + Repeat("f(", 5000) + Repeat(")", 5000) + ") }}",
      "{% for " + Repeat("(", 5000) + "x" + Repeat(",)", 5000) + " in [1] %}{% endfor %}",
      Repeat("{% if 1 %}", 5000) + Repeat("{% endif %}", 5000),
      Repeat("{% for x in [1] %}", 5000) + Repeat("{% endfor %}", 5000),
      std::string(kMaxSourceBytes + 1, 'x')};
  for (const std::string& source : cases) {
    const auto [code, text] = ErrorOf(source);
    EXPECT_EQ(code, ErrorCode::kLimit) << source.substr(0, 120) << ": " << text;
  }
}

TEST(JinjaTest, NestingBelowTheLimitWorks) {
  EXPECT_EQ(Render("{{ " + Repeat("(", 60) + "1" + Repeat(")", 60) + " }}"), "1");
  EXPECT_EQ(Render(Repeat("{% if 1 %}", 100) + "x" + Repeat("{% endif %}", 100)), "x");
  EXPECT_EQ(Render("{{ 0" + Repeat(" + 1", 300) + " }}"), "300");
  EXPECT_EQ(Render("{% macro f(n) %}{{ f(n - 1) if n else 'end' }}{% endmacro %}{{ f(50) }}"), "end");
}

TEST(JinjaTest, LimitsOfARunCanBeTightened) {
  EXPECT_EQ(ErrorOf("{% for x in range(100) %}{% endfor %}", {.steps = 100}).first,
            ErrorCode::kLimit);
  EXPECT_EQ(ErrorOf("{{ 'a' * 101 }}", {.string_bytes = 100}).first, ErrorCode::kLimit);
  EXPECT_EQ(ErrorOf("{{ 'a' * 50 }}{{ 'b' * 51 }}", {.string_bytes = 100}).first, ErrorCode::kLimit);
  EXPECT_EQ(ErrorOf("{% set a = [1, 2, 3] * 99 %}", {.live_bytes = 2000}).first, ErrorCode::kLimit);
}

// Memory is given back: a loop that makes a megabyte 300 times stays below the 128 MiB.
TEST(JinjaTest, TextThatIsGoneDoesNotCount) {
  EXPECT_EQ(Render("{% for i in range(300) %}{% set x = 'a' * 10**6 %}{% endfor %}ok"), "ok");
}

TEST(JinjaTest, MacrosOutliveTheScopeTheyWereMadeIn) {
  EXPECT_EQ(Render("{% set n = namespace() %}{% for x in [1, 2] %}{% macro f() %}{{ x }}{% endmacro %}"
                   "{% set n.f = f %}{% endfor %}{{ n.f() }}"),
            "2");
  EXPECT_EQ(Render("{% set n = namespace() %}{% for x in [1, 2] if x %}{% set n.l = loop %}{% break %}"
                   "{% endfor %}{{ n.l.index }}{{ n.l.last }}"),
            "1True");
}

TEST(JinjaTextTest, InvalidUtf8PassesUnchanged) {
  const std::string bytes = "a\xFF\xC3(\xE4\xB8 \xF0\x9F\x8E\x89\xED\xA0\x80";
  size_t at = 0, count = 0;
  std::string copy;
  while (at < bytes.size()) {
    AppendCodePoint(copy, NextCodePoint(bytes, at));
    ++count;
  }
  EXPECT_EQ(copy, bytes);
  EXPECT_EQ(count, CountCodePoints(bytes));
  EXPECT_EQ(count, 11u);
  EXPECT_EQ(StripRight("a\xFF\xE2\x80\x83"), "a\xFF");
  EXPECT_EQ(StripRight("\x80\x80"), "\x80\x80");
}

}  // namespace
}  // namespace edgewise::jinja
