#include "oracle/case_io.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "oracle/case_fields.h"
#include "oracle/given_io.h"
#include "oracle/strict_json.h"
#include "oracle/suggest.h"

namespace attnfuzz {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

/// The first whole characters of a UTF-8 text in at most this many bytes.
std::string beginning(const std::string& text, size_t bytes) {
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

/// A value of the file that is being read and its path.
struct Node {
  const Json& json;
  const std::string& where;
  std::string path;
  bool cached;

  [[noreturn]] void reject(const std::string& expected, const std::string& hint = "") const {
    std::string found = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (found.size() > 60) found = beginning(found, 57) + "…";
    throw InputError(where, path, fmt::format("expected {}, found {}{}", expected, found, hint));
  }

  void demand(bool holds, const std::string& expected) const {
    if (!holds) reject(expected);
  }

  Node at(std::string_view key) const {
    return {json.at(key), where, path + pointer_part(key), cached};
  }
  Node at(size_t index) const {
    return {json.at(index), where, fmt::format("{}/{}", path, index), cached};
  }
};

/// One of `words`, by its place.
template <class Words>
size_t read_word(const Node& node, const Words& words) {
  const std::vector<std::string> known(words.begin(), words.end());
  const std::string expected = fmt::format("one of \"{}\"", fmt::join(known, "\", \""));
  node.demand(node.json.is_string(), expected);
  const auto& word = node.json.get_ref<const std::string&>();
  const auto found = std::find(known.begin(), known.end(), word);
  if (found == known.end()) node.reject(expected, did_you_mean(word, known));
  return static_cast<size_t>(found - known.begin());
}

void read(const Node& node, bool& to) {
  node.demand(node.json.is_boolean(), "true or false");
  to = node.json.get<bool>();
}

void read(const Node& node, uint64_t& to) {
  node.demand(node.json.is_number_unsigned(), "an integer from 0 to 2^64 - 1");
  to = node.json.get<uint64_t>();
}

/// Leaves the limits to check(), but for numbers that `to` can't hold.
void read(const Node& node, int64_t& to, const Limits& limits = {}) {
  node.demand(node.json.is_number_integer(), "an integer");
  const bool small = !node.json.is_number_unsigned() ||
                     node.json.get<uint64_t>() <= static_cast<uint64_t>(Limits{}.max);
  node.demand(small, fmt::format("an integer from {} to {}", limits.min, limits.max));
  to = node.json.get<int64_t>();
}

void read(const Node& node, double& to) {
  node.demand(node.json.is_number(), "a number");
  to = node.json.get<double>();
}

void read(const Node& node, std::optional<double>& to) {
  node.demand(node.json.is_number() || node.json.is_null(), "a number or null");
  to = node.json.is_null() ? std::nullopt : std::optional(node.json.get<double>());
}

void read(const Node& node, std::optional<int64_t>& to) {
  read(node, to.emplace());
}

void read(const Node& node, std::string& to) {
  node.demand(node.json.is_string(), "a text");
  to = node.json.get<std::string>();
}

void read(const Node& node, std::map<std::string, std::string>& to) {
  node.demand(node.json.is_object(), "an object");
  for (const auto& [key, value] : node.json.items()) read(node.at(key), to[key]);
}

template <class E>
requires std::is_enum_v<E>
void read(const Node& node, E& to) {
  to = static_cast<E>(read_word(node, names_of<E>));
}

void read(const Node& node, const RuleSpec*& to) {
  std::vector<std::string_view> names;
  for (const RuleSpec* rule : rule_table()) names.push_back(rule->name);
  to = rule_table()[read_word(node, names)];
}

template <Described T>
void read(const Node& node, T& to);

template <class T>
void read(const Node& node, std::vector<T>& to) {
  node.demand(node.json.is_array(), "a list");
  to.resize(node.json.size());
  for (size_t k = 0; k < to.size(); ++k) read(node.at(k), to[k]);
}

/// Reads the keys of one object; a visitor of Fields.
class Reader {
 public:
  explicit Reader(const Node& node) : cached(node.cached), node_(node) {
    node.demand(node.json.is_object(), "an object");
  }

  const bool cached;

  template <class T>
  void operator()(std::string_view key, T& to, const auto&... limits) {
    known_.emplace_back(key);
    if (!node_.json.contains(key)) {
      std::vector<std::string> keys;
      for (const auto& [found, value] : node_.json.items()) keys.push_back(found);
      const std::vector<std::string> near = near_matches(key, keys);
      throw InputError(node_.where, node_.path,
                       fmt::format("expected the key \"{}\"{}", key,
                                   near.empty() ? "" : fmt::format(", found \"{}\"", near[0])));
    }
    if constexpr (std::is_same_v<T, int64_t>) {
      read(node_.at(key), to, limits...);
    } else {
      read(node_.at(key), to);
    }
  }

  template <class T>
  void optional(std::string_view key, T& to) {
    known_.emplace_back(key);
    if (node_.json.contains(key)) read(node_.at(key), to);
  }

  template <class T>
  void option(std::string_view key, T& to, T) {
    optional(key, to);
  }

  template <class T>
  void kind(std::string_view key, T& to) {
    (*this)(key, to);
  }

  void parameter(const RuleParam& param, ParamValue& to) {
    if (param.kind == RuleParam::Kind::choice) {
      Word word{param.choices, 0};
      (*this)(param.name, word);
      to = static_cast<int64_t>(word.place);
    } else if (param.kind == RuleParam::Kind::integer) {
      (*this)(param.name, to.emplace<int64_t>());
    } else {
      (*this)(param.name, to.emplace<std::vector<int64_t>>());
    }
  }

  bool given(const Data&) {
    if (!node_.json.contains(given_key)) return false;
    known_.emplace_back(given_key);
    return true;
  }

  void version(std::string_view key) {
    int64_t found = 0;
    (*this)(key, found);
    node_.at(key).demand(found == case_format_version,
                         fmt::format("format version {}", case_format_version));
  }

  /// Rejects keys that were not asked for.
  void finish() const {
    for (const auto& [key, value] : node_.json.items()) {
      if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
      throw InputError(node_.where, node_.path + pointer_part(key),
                       fmt::format("unknown key here, expected only {}{}", fmt::join(known_, ", "),
                                   did_you_mean(key, known_)));
    }
  }

 private:
  struct Word {
    std::span<const std::string_view> words;
    size_t place;
  };
  friend void read(const Node& node, Word& to) { to.place = read_word(node, to.words); }

  const Node& node_;
  std::vector<std::string> known_;
};

template <Described T>
void read(const Node& node, T& to) {
  Reader reader(node);
  Fields<T>::visit(reader, to);
  reader.finish();
}

OrderedJson written(bool value) {
  return value;
}
OrderedJson written(int64_t value) {
  return value;
}
OrderedJson written(uint64_t value) {
  return value;
}
OrderedJson written(const std::string& value) {
  return value;
}
OrderedJson written(const std::map<std::string, std::string>& value) {
  return value;
}
OrderedJson written(const RuleSpec* value) {
  return value->name;
}

/// Whole numbers without ".0".
OrderedJson written(double value) {
  const bool whole = std::abs(value) < 0x1p53 && std::trunc(value) == value;
  if (whole && !(value == 0 && std::signbit(value))) return static_cast<int64_t>(value);
  return value;
}

OrderedJson written(const std::optional<double>& value) {
  return value ? written(*value) : OrderedJson();
}

OrderedJson written(const std::optional<int64_t>& value) {
  return value ? written(*value) : OrderedJson();
}

template <class E>
requires std::is_enum_v<E> OrderedJson written(E value) {
  return name(value);
}

template <Described T>
OrderedJson written(const T& value, bool cached = false);

template <class T>
OrderedJson written(const std::vector<T>& values) {
  OrderedJson list = OrderedJson::array();
  for (const T& value : values) list.push_back(written(value));
  return list;
}

/// Writes the keys of one object; a visitor of Fields.
struct Writer {
  bool cached;
  OrderedJson json = OrderedJson::object();

  template <class T>
  void operator()(std::string_view key, const T& value, const auto&...) {
    if constexpr (Described<T>) {
      json[std::string(key)] = written(value, cached);
    } else {
      json[std::string(key)] = written(value);
    }
  }

  template <class T>
  void optional(std::string_view key, const T& value) {
    if (!value.empty()) (*this)(key, value);
  }

  template <class T>
  void option(std::string_view key, const T& value, T plain) {
    if (value != plain) (*this)(key, value);
  }

  template <class T>
  void kind(std::string_view key, const T& value) {
    (*this)(key, value);
  }

  void parameter(const RuleParam& param, const ParamValue& value) {
    if (param.kind == RuleParam::Kind::choice) {
      json[std::string(param.name)] = param.choices[static_cast<size_t>(std::get<int64_t>(value))];
    } else {
      std::visit([&](const auto& plain) { (*this)(param.name, plain); }, value);
    }
  }

  static bool given(const Data& data) { return data.given != nullptr; }

  void version(std::string_view key) { json[std::string(key)] = case_format_version; }
};

template <Described T>
OrderedJson written(const T& value, bool cached) {
  Writer writer{cached};
  Fields<T>::visit(writer, value);
  return std::move(writer.json);
}

/// Whether expectation_pattern matches: a regular expression's code takes long to compile.
bool is_expectation(std::string_view text) {
  constexpr std::string_view fail = "fail:", letters = "abcdefghijklmnopqrstuvwxyz",
                             of_names = "abcdefghijklmnopqrstuvwxyz0123456789-";
  if (!text.starts_with(fail)) return text == "pass";
  const std::string_view said = text.substr(fail.size());
  const std::string_view kind = said.substr(0, said.find(' '));
  const auto made_of = [](std::string_view word, std::string_view of) {
    return !word.empty() && word.find_first_not_of(of) == std::string_view::npos;
  };
  return made_of(kind, letters) &&
         (kind.size() == said.size() || made_of(said.substr(kind.size() + 1), of_names));
}

void check_expectations(const CaseFile& file, const std::string& where) {
  for (const auto& [target, verdict] : file.expect) {
    if (is_expectation(verdict)) continue;
    throw InputError(where, "/expect" + pointer_part(target),
                     fmt::format("expected \"pass\" or \"fail:\" and a kind of failure, alone or "
                                 "with its signature or cause, found \"{}\"",
                                 verdict));
  }
}

}  // namespace

CaseFile parse_case(std::string_view json, const std::string& where) {
  const Json parsed = parse_json(json, where);
  const bool cached = parsed.is_object() && parsed.contains("cache");
  CaseFile file;
  if (cached) {
    file.c.cache.emplace();
    file.c.problem.q_len = file.c.problem.kv_len = 0;
  }
  read(Node{parsed, where, "", cached}, file);
  check(file.c, where);
  check_expectations(file, where);
  if (const Json& data = parsed.at("data"); data.contains(given_key))
    file.c.data = read_given(file.c, data.at(given_key), where);
  return file;
}

CaseFile read_case(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  if (stream.is_open()) text << stream.rdbuf();
  if (!stream.is_open() || text.fail()) {
    throw InputError(file, "", "expected a readable file that is not empty");
  }
  return parse_case(text.str(), file);
}

std::string write_case(const CaseFile& file) {
  OrderedJson json = written(file, file.c.cached());
  if (file.c.data.given != nullptr) json["data"][std::string(given_key)] = written_given(file.c);
  return pretty_json(json);
}

}  // namespace attnfuzz
