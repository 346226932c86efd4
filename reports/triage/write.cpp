#include "reports/triage/write.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "fuzz/signature.h"
#include "oracle/case_io.h"
#include "reports/text.h"

namespace attnfuzz::triage {
namespace {

using Json = nlohmann::ordered_json;

std::string sureness_text(const Reading& reading) {
  const std::string what =
      reading.a.empty()
          ? ""
          : fmt::format(": {} of {}{}", reading.form, reading.a,
                        reading.b.empty() || reading.b == reading.a ? "" : " and " + reading.b);
  switch (reading.sureness) {
    case Sureness::none:
      return reading.cause ? "only the mistake is known" : "nothing fits well enough";
    case Sureness::open:
      return (reading.instead.empty() ? "open, many readings fit about as well"
                                      : "open, two readings fit about as well") +
             what;
    case Sureness::likely:
      return "likely" + what;
    case Sureness::sure:
      return "sure" + what;
  }
  return "";
}

/// Sizes that other lines give, or the name of the model.
std::string known_text(const Reading& reading) {
  std::string out;
  for (size_t k = 0; k < reading.context; ++k)
    out += (out.empty() ? "" : ", ") + reading.numbers[k].words();
  return out.empty() ? out : out + " (by other lines, or as the named model has them)";
}

/// What the second reading says of the numbers that it reads otherwise, each once.
std::vector<std::string> differences(const Reading& reading) {
  std::vector<std::string> all;
  for (size_t k = 0; k < reading.instead.size(); ++k) {
    const NumberAxis& other = reading.instead[k];
    const size_t at = k + reading.context;
    const bool same = at < reading.numbers.size() && reading.numbers[at].axis == other.axis;
    if (same || other.value <= 1) continue;
    std::string words =
        fmt::format("{:<8} {}", other.value, other.axis.empty() ? "something else" : other.axis);
    if (std::find(all.begin(), all.end(), words) == all.end()) all.push_back(std::move(words));
  }
  return all;
}

Json number_json(const NumberAxis& number) {
  return {{"value", number.value}, {"axis", number.axis}, {"of", number.of}};
}

Json search_json(const Search& search) {
  Json json{{"target", search.target},
            {"version", search.version},
            {"proposals", search.proposals},
            {"generated", search.generated},
            {"other_failures", search.other_failures},
            {"found", search.finding.has_value()}};
  if (!search.finding) return json;
  const Finding& f = *search.finding;
  json["same_axes"] = search.same_axes;
  json["signature"] = f.signature;
  json["case"] = Json::parse(write_case(f.shrunk.c));
  json["text"] = annotate(text::clean(f.last.outcome.text), f.shrunk.c, &f.learned);
  if (search.same_numbers)
    json["case_with_same_numbers"] = Json::parse(write_case(*search.same_numbers));
  return json;
}

}  // namespace

std::vector<NumberAxis> numbers_told(const Reading& reading) {
  std::vector<NumberAxis> all;
  for (size_t k = reading.context; k < reading.numbers.size(); ++k) {
    const NumberAxis& number = reading.numbers[k];
    const bool again = std::any_of(all.begin(), all.end(), [&](const NumberAxis& each) {
      return each.value == number.value && each.axis == number.axis &&
             (each.of == number.of || number.of.empty());
    });
    if (number.value >= 0 && !again) all.push_back(number);
  }
  return all;
}

std::string mistake_text(const Reading& reading) {
  if (!reading.cause) return "";
  return (reading.sureness == Sureness::open ? "If the reading is right: " : "") +
         reading.cause->words;
}

std::string reading_text(const Reading& reading) {
  std::string out;
  std::string_view head = "reading";
  const auto line = [&](std::string_view words) {
    out += fmt::format("{:<10} {}\n", head, words);
    head = "";
  };
  for (const NumberAxis& number : numbers_told(reading))
    line(fmt::format("{:<8} {}{}{}", number.value, number.axis.empty() ? "?" : number.axis,
                     number.of.empty() ? "" : " of the " + number.of,
                     number.offset == std::string::npos ? " (told by another line)" : ""));
  if (head == "reading")
    line(reading.cause ? "the text has no number that is an axis" : "not read");
  head = "how sure";
  line(sureness_text(reading));
  head = "or";
  for (const std::string& words : differences(reading)) line(words);
  head = "known";
  if (const std::string known = known_text(reading); !known.empty()) line(known);
  head = "mistake";
  if (reading.cause)
    line(fmt::format("{} ({})", text::line(mistake_text(reading), 2000), reading.cause->name));
  head = "note";
  for (const std::string& note : reading.notes)
    if (!reading.cause || note != reading.cause->words) line(note);
  head = "ask";
  for (const std::string& question : reading.questions) line(question);
  head = "error";
  line(fmt::format("{}{}{}", text::line(reading.traceback.error),
                   reading.traceback.error.empty() ? "" : ": ",
                   text::line(reading.named_core(), 1000)));
  head = "package";
  line(reading.traceback.package.empty() ? "not told" : reading.traceback.package);
  return out;
}

std::string search_text(const Search& search) {
  std::string out =
      fmt::format("ran        {} {}: {} proposed and {} generated cases", text::line(search.target),
                  text::line(search.version), search.proposals, search.generated);
  if (!search.finding) {
    out += ", none gave this text";
    if (search.other_failures > 0)
      out += fmt::format(" ({} failed in another way)", search.other_failures);
    return out + "\n";
  }
  const Finding& f = *search.finding;
  out += search.why.empty() ? ", a generated one gave this text"
                            : fmt::format(", one ({}) gave this text", search.why);
  out += search.same_axes ? "\n" : ", but with numbers of other axes\n";
  out += fmt::format(
      "smallest   {}\nits text   {}\n", one_line(f.shrunk.c),
      text::line(annotate(text::clean(f.last.outcome.text), f.shrunk.c, &f.learned), 1000));
  if (search.same_numbers)
    out += fmt::format("the same   {} gives the text with your numbers\n",
                       one_line(*search.same_numbers));
  return out;
}

std::string triage_json(const Reading& reading, const std::vector<Proposal>& proposals,
                        const std::vector<Search>& searches) {
  Json json{{"error", reading.traceback.error},
            {"message", reading.core},
            {"named", reading.named_core()},
            {"package", reading.traceback.package},
            {"pattern", reading.form},
            {"operation", reading.a + " and " + reading.b},
            {"sure", reading.sureness == Sureness::sure},
            {"sureness", name_of(reading.sureness)}};
  json["numbers"] = Json::array();
  for (const NumberAxis& number : reading.numbers) json["numbers"].push_back(number_json(number));
  json["instead"] = Json::array();
  for (const NumberAxis& number : reading.instead) json["instead"].push_back(number_json(number));
  json["notes"] = reading.notes;
  json["questions"] = reading.questions;
  if (reading.cause)
    json["cause"] = {{"name", reading.cause->name}, {"words", reading.cause->words}};
  json["proposals"] = Json::array();
  for (const Proposal& proposal : proposals)
    json["proposals"].push_back(
        {{"why", proposal.why}, {"case", Json::parse(write_case(proposal.c))}});
  json["searches"] = Json::array();
  for (const Search& each : searches) json["searches"].push_back(search_json(each));
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace attnfuzz::triage
