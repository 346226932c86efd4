#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "oracle/case_fields.h"
#include "oracle/given_io.h"
#include "oracle/strict_json.h"

namespace attnfuzz {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson schema_of(bool) {
  return {{"type", "boolean"}};
}
OrderedJson schema_of(const std::string&) {
  return {{"type", "string"}};
}
OrderedJson schema_of(double) {
  return {{"type", "number"}};
}
/// 0, or a number within the range.
OrderedJson schema_of(double, const NumberRange& range) {
  const auto between = [](double min, double max) {
    return OrderedJson{{"type", "number"}, {"minimum", min}, {"maximum", max}};
  };
  OrderedJson any{{{"const", 0}}, between(range.min, range.max)};
  if (range.has_sign) any.push_back(between(-range.max, -range.min));
  return {{"description",
           "0, or a size at which no type in which scores are computed overflows or "
           "underflows"},
          {"anyOf", std::move(any)}};
}
OrderedJson schema_of(const std::optional<double>&, const NumberRange& range) {
  OrderedJson schema = schema_of(range.min, range);
  schema["anyOf"].push_back({{"type", "null"}});
  return schema;
}
OrderedJson schema_of(uint64_t) {
  return {{"type", "integer"}, {"minimum", 0}, {"maximum", std::numeric_limits<uint64_t>::max()}};
}
OrderedJson schema_of(int64_t, Limits limits = {}) {
  OrderedJson schema{{"type", "integer"}};
  if (limits.min != Limits{}.min) schema["minimum"] = limits.min;
  if (limits.max != Limits{}.max) schema["maximum"] = limits.max;
  return schema;
}
OrderedJson schema_of(const std::optional<int64_t>&) {
  return schema_of(int64_t{}, Limits{0});
}
OrderedJson schema_of(const std::vector<int64_t>&, Limits limits = {0}) {
  return {{"type", "array"}, {"items", schema_of(int64_t{}, limits)}};
}
OrderedJson schema_of(const std::map<std::string, std::string>&) {
  return {{"type", "object"},
          {"additionalProperties", {{"type", "string"}, {"pattern", expectation_pattern}}}};
}
template <class E>
requires std::is_enum_v<E> OrderedJson schema_of(E) {
  return {{"enum", names_of<E>}};
}
OrderedJson schema_of(const std::vector<Output>& example) {
  return {{"type", "array"}, {"items", schema_of(example.front())}, {"uniqueItems", true}};
}
OrderedJson schema_of(const RopeScaling&);
OrderedJson schema_of(const Mask&) {
  return {{"$ref", "#/$defs/mask"}};
}

/// The schema of one object, by an example that has its kind; a visitor of Fields.
struct Schema {
  bool cached;
  OrderedJson properties = OrderedJson::object();
  OrderedJson required = OrderedJson::array();

  void add(std::string_view key, OrderedJson schema) {
    properties[std::string(key)] = std::move(schema);
    required.push_back(key);
  }

  template <class T, class... More>
  void operator()(std::string_view key, const T& example, More... limits);

  template <class T>
  void optional(std::string_view key, const T& example) {
    properties[std::string(key)] = schema_of(example);
  }

  template <class T>
  void option(std::string_view key, const T& example, T) {
    optional(key, example);
  }

  template <class E>
  void kind(std::string_view key, E example) {
    add(key, {{"const", name(example)}});
  }
  void kind(std::string_view key, const RuleSpec* example) { add(key, {{"const", example->name}}); }

  void parameter(const RuleParam& param, const ParamValue&) {
    const Limits limits{param.min, param.max};
    switch (param.kind) {
      case RuleParam::Kind::choice:
        return add(param.name, {{"enum", param.choices}});
      case RuleParam::Kind::integer:
        return add(param.name, schema_of(int64_t{}, limits));
      default:
        return add(param.name, schema_of(std::vector<int64_t>{}, limits));
    }
  }

  static bool given(const Data&) { return false; }

  void version(std::string_view key) { add(key, {{"const", case_format_version}}); }
};

template <Described T>
OrderedJson object_schema(const T& example, bool cached = false) {
  Schema schema{cached};
  Fields<T>::visit(schema, example);
  return {{"type", "object"},
          {"required", std::move(schema.required)},
          {"properties", std::move(schema.properties)},
          {"additionalProperties", false}};
}

template <class T>
OrderedJson one_of(const std::vector<T>& examples) {
  OrderedJson schemas = OrderedJson::array();
  for (const T& example : examples) schemas.push_back(object_schema(example));
  return {{"oneOf", std::move(schemas)}};
}

/// One example for each of E's words.
template <class T, class E>
std::vector<T> examples_by(E T::*kind) {
  std::vector<T> examples(names_of<E>.size());
  for (size_t k = 0; k < examples.size(); ++k) examples[k].*kind = static_cast<E>(k);
  return examples;
}

OrderedJson schema_of(const Cache&) {
  return one_of(examples_by(&Cache::kind));
}

OrderedJson schema_of(const RopeScaling&) {
  return one_of(examples_by(&RopeScaling::law));
}

OrderedJson schema_of(const Data& example) {
  return {{"oneOf", {object_schema(example), given_schema()}}};
}

OrderedJson schema_of(const std::vector<Step>&) {
  OrderedJson schema{{"type", "array"}, {"minItems", 1}};
  schema["items"] = one_of(examples_by(&Step::op));
  return schema;
}

OrderedJson schema_of(const std::vector<RuleUse>&) {
  std::vector<RuleUse> examples;
  for (const RuleSpec* spec : rule_table()) {
    examples.push_back({spec, std::vector<ParamValue>(spec->params.size())});
  }
  return {{"type", "array"}, {"items", one_of(examples)}};
}

template <class T, class... More>
void Schema::operator()(std::string_view key, const T& example, More... limits) {
  if constexpr (requires { schema_of(example, limits...); }) {
    add(key, schema_of(example, limits...));
  } else {
    add(key, object_schema(example, cached));
  }
}

}  // namespace

std::string case_schema() {
  CaseFile plain, cached;
  cached.c.cache.emplace();
  return pretty_json(
      {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
       {"title", "attnfuzz case"},
       {"description", "All that is needed to rerun one test of an attention implementation."},
       {"oneOf", {object_schema(plain, false), object_schema(cached, true)}},
       {"$defs", {{"mask", object_schema(Mask{})}}}});
}

}  // namespace attnfuzz
