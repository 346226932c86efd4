// All readings of error texts with the terms of their scores: what triage_fit.py fits the weights
// to. Usage: triage_ways FILE…: texts.json's form in, one JSON object a text out.
#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "reports/triage/question.h"

namespace attnfuzz::triage {
namespace {

using Json = nlohmann::ordered_json;

Json numbers_json(const Reading& reading) {
  Json numbers = Json::array();
  for (const NumberAxis& each : reading.numbers)
    numbers.push_back({{"value", each.value}, {"axis", each.axis}, {"of", each.of}});
  return numbers;
}

Json reading_json(const Reading& reading, double chance, double said, double named) {
  return {{"pattern", reading.form},
          {"operation", reading.a + " and " + reading.b},
          {"sure", reading.sureness == Sureness::sure},
          {"sureness", name_of(reading.sureness)},
          {"agreed", chance},
          {"support", said},
          {"grounded", named},
          {"numbers", numbers_json(reading)}};
}

Json weights_json(const Weights& weights) {
  Json all;
  for (size_t k = 0; k < weights.size(); ++k)
    all[std::string(name_of(static_cast<Term>(k)))] = weights[k];
  return all;
}

/// The candidates within this distance of the best, in the logarithm of their chance.
constexpr double kFarthest = 14;

Json ways_of(const std::string& text) {
  const Question question = take_apart(text, {});
  const std::vector<Candidate> candidates = solve(question.mentions, question.evidence);
  // What is called sure is cut from this.
  const double chance = candidates.empty() ? 0 : agreed(candidates);
  Json ways = Json::array();
  for (size_t k = 0; k < candidates.size(); ++k) {
    const Candidate& each = candidates[k];
    if (each.chance < candidates[0].chance * std::exp(-kFarthest)) break;
    Candidate alone = each;
    alone.chance = 1;  // answer() leaves unlikely ones unread
    ways.push_back({{"chance", each.chance},
                    {"terms", each.terms},
                    {"numbers", numbers_json(answer(question, {alone}))}});
  }
  const double said = candidates.empty() ? 0 : support(candidates[0]);
  const double named =
      candidates.empty() ? 0 : grounded(candidates[0], question.mentions, question.evidence);
  return {{"reading", reading_json(answer(question, candidates), chance, said, named)},
          {"ways", ways}};
}

int run(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    std::ifstream in(file);
    for (const Json& record : Json::parse(in)) {
      Json line = ways_of(record.at("text").get<std::string>());
      line["weights"] = weights_json(fitted_weights());
      line["source"] = record.at("source");
      fmt::print("{}\n", line.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
  }
  return 0;
}

}  // namespace
}  // namespace attnfuzz::triage

int main(int argc, char** argv) {
  return attnfuzz::triage::run({argv + 1, argv + argc});
}
