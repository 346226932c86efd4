#include "fuzz/measure/tokens/tokens.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "fuzz/measure/attributes.h"
#include "fuzz/measure/tokens/picture.h"
#include "fuzz/measure/untold.h"

namespace attnfuzz::measure {
namespace {

/// Weights that are off by no more are no matter of which tokens are taken.
constexpr double rounding = 0.02;

/// Where a bias (ALiBi) makes the weights unequal: whether the keys seen are those declared. What
/// is wrong then is a matter of scores.
bool same_tokens(const Query& query, std::span<const double> got) {
  if (std::all_of(query.keys.begin(), query.keys.end(),
                  [](const Key& key) { return key.bias == 0; }))
    return false;
  std::vector<uint8_t> declared(got.size(), 0);
  for (const Key& key : query.keys) declared[key.source] = 1;
  for (size_t n = 0; n < got.size(); ++n)
    if (declared[n] == 0 && std::abs(got[n]) > 1e-6) return false;
  return std::all_of(query.keys.begin(), query.keys.end(),
                     [&](const Key& key) { return got[key.source] > 0 || key.bias < -10; });
}

/// Of large cases some of the queries are told apart key by key: each n-th.
size_t stride_of(const Plan& plan) {
  constexpr size_t most_pairs = 40000;
  size_t pairs = 0;
  for (const Query& query : plan.queries)
    pairs += plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)].tokens.size();
  return 1 + pairs / most_pairs;
}

}  // namespace

TokenFacts::Given TokenFacts::look(const Plan& plan, size_t n, const Weights& got,
                                   const Weights& want, double error) {
  const Query& query = plan.queries[n];
  const bool bad_value = got.nonfinite[n] != 0;
  const bool offset = std::abs(got.offset[n]) > 1e-6;
  const bool off = offset || measure::differs(got.of(n), want.of(n), std::max(error, rounding));
  const bool wrong = !bad_value && off && (offset || !same_tokens(query, got.of(n)));
  ++queries_;
  nonfinite_ += bad_value ? 1 : 0;
  offsets_ += offset && !bad_value ? 1 : 0;
  wrong_ += wrong || bad_value ? 1 : 0;
  where_.add(attributes_of(plan, query), wrong);
  where_nonfinite_.add(attributes_of(plan, query), bad_value);
  return {bad_value, offset, wrong};
}

bool TokenFacts::add(const Plan& plan, const Forge& forge, const Weights& got, const Weights& want,
                     double error) {
  ++cases_;
  silent_.add_case(plan);
  slots_.add_case(plan);
  cached_ |= plan.c.cached();
  const int64_t wrong_before = wrong_;
  const size_t stride = stride_of(plan);
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& query = plan.queries[n];
    // What a query gives that sees no key is a matter of `fully_masked`.
    if (query.keys.empty() && plan.c.problem.fully_masked != FullyMasked::zero) continue;
    const Given given = look(plan, n, got, want, error);
    if (given.bad_value) continue;
    if (factors_.add(plan, forge, query, got.of(n), want.of(n)) && given.wrong) continue;
    // Weights that do not explain other values say nothing of tokens.
    const bool no_sum = given.wrong && got.residual[n] > std::max(rounding, 4 * error);
    where_no_sums_.add(attributes_of(plan, query), no_sum);
    no_sums_ += no_sum ? 1 : 0;
    if (no_sum) continue;
    Reading reading = read(plan, n, got.of(n), forge.sink(query.h), error);
    if (!own_sum_) reading.zeros = std::min<int64_t>(reading.zeros, 0);
    // Weights that are right but for a sum's small part are no whole shares.
    const bool once = given.wrong ? sums_.add(plan, forge, query, reading, error)
                                  : reading.uses.size() == query.keys.size();
    if (once) reading.take_each_once();
    if (!query.keys.empty())
      silent_.add(plan, query,
                  given.wrong && reading.uses.empty() && reading.zeros == 0 && !given.offset);
    if (given.wrong) add_example(plan, query, reading);
    if (given.wrong && picture_.empty()) picture_ = picture_of(plan, query, got);
    if (n % stride == 0) add_query(plan, query, reading);
    slots_.add(plan, query, reading, given.wrong);
  }
  wrong_cases_ += wrong_ > wrong_before ? 1 : 0;
  return wrong_ == wrong_before;
}

void TokenFacts::add_example(const Plan& plan, const Query& query, const Reading& reading) {
  const size_t size = query.keys.size() + reading.uses.size();
  const auto words = [&] {
    std::string text = fmt::format("{} takes {}; the case says {}.", describe_query(plan, query),
                                   describe(plan, reading), describe_declared(plan, query));
    text[0] = static_cast<char>(std::toupper(text[0]));
    return text;
  };
  constexpr size_t most = 24;  // keys of an example, to be read
  if (size < smallest_size_) {
    smallest_size_ = size;
    smallest_ = words();
  }
  if (size > largest_size_ && (size <= most || largest_size_ == 0)) {
    largest_size_ = size;
    largest_ = words();
  }
}

void TokenFacts::add_zeros(const Reading& reading) {
  counted_ &= reading.counted;
  if (reading.zeros == 0) return;
  int64_t used = reading.zeros;
  for (const Use& use : reading.uses) used += use.times;
  totals_.push_back(used);
}

void TokenFacts::add_query(const Plan& plan, const Query& query, const Reading& reading) {
  const Difference all = difference(plan, query, reading);
  const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)];
  const int64_t head = plan.c.problem.kv_head(query.h);
  swaps_.add(plan, query, reading, all);
  any_extra_ |= !all.hidden.empty();
  any_missing_ |= !all.missing.empty();
  any_foreign_ |= !all.foreign.empty();
  for (const Place& place : all.foreign) foreign_.insert(kind_of(place, query, head));
  add_zeros(reading);
  where_zeros_.add(attributes_of(plan, query), reading.zeros > 0);
  std::vector<uint8_t> repeated(held.tokens.size(), 0);
  for (const Use& use : reading.uses) {
    if (use.times < 2 || !reading.counted) continue;
    times_.insert(use.times);
    if (const Place place = place_of(plan, query, use.source); place.of == Place::Of::own_row)
      repeated[place.place] = 1;
  }
  add_keys(plan, query, all, repeated);
  std::vector<Place> takes = all.foreign;
  for (const size_t place : all.hidden)
    takes.push_back({Place::Of::own_row, query.b, query.b, head, held.positions[place], place});
  remap_.add(plan, query, all.missing, takes);
}

/// Which of the row's keys are seen.
void TokenFacts::add_keys(const Plan& plan, const Query& query, const Difference& all,
                          const std::vector<uint8_t>& repeated) {
  const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)];
  std::set<size_t> missing, shown;
  for (const Place& place : all.missing)
    if (place.of == Place::Of::own_row) missing.insert(place.place);
  ends_.add(plan, query, std::vector<size_t>(missing.begin(), missing.end()));
  for (const Key& key : query.keys)
    if (key.position >= 0) shown.insert(key.place);
  std::vector<uint8_t> seen(held.tokens.size(), 0);
  for (const size_t place : shown) seen[place] = missing.count(place) == 0 ? 1 : 0;
  for (const size_t place : all.hidden) seen[place] = 1;
  hidden_by_.add(plan, query, all.hidden);
  visible_.add(plan, query, seen);
  const bool swaps = !all.foreign.empty() && all.missing.size() == all.foreign.size();
  for (size_t j = 0; j < held.tokens.size(); ++j) {
    const Where::Attributes attributes = attributes_of(plan, query, held, j);
    if (shown.count(j) != 0) {
      missing_.add(attributes, missing.count(j) != 0);
      swapped_.add(attributes, swaps && missing.count(j) != 0);
      if (missing.count(j) == 0) repeated_.add(attributes, repeated[j] != 0);
    } else {
      extra_.add(attributes, all.hidden.count(j) != 0);
    }
  }
}

/// What is taken in the place of what, as one rule.
std::string TokenFacts::swap_words() const {
  const std::string where = swapped_.words_after(": exactly for keys with");
  const std::string words = swaps_.words();
  if (!swaps_.has_rule())
    if (const std::string rule = remap_.words(); !rule.empty())
      return "In the place of key j's value the query takes " + rule + where + ".";
  return "In the place of a key's value the query takes that of " + words + where + ".";
}

/// Which keys are taken more than once, where a plain condition tells it.
std::string TokenFacts::repeated_words() const {
  const Where::Condition condition = repeated_.condition();
  constexpr int most_parts = 2;  // more are found by chance
  if (!condition.found || condition.parts > most_parts || times_.size() != 1) return "";
  const std::string times =
      *times_.begin() == 2 ? "twice" : fmt::format("{} times", *times_.begin());
  return fmt::format("Queries count keys {}{}.", times,
                     Where::words_after(": exactly those with", condition));
}

/// `any`: also where no condition tells which keys these are.
std::string TokenFacts::visible_words(bool any) const {
  std::string words;
  const auto say = [&](const Where& where, const std::string& verb, std::string_view none) {
    const Where::Condition condition = where.condition();
    constexpr int most_parts = 2;  // more are found by chance
    const bool by_chance = condition.parts > most_parts;
    if (!any && (!condition.found || by_chance)) return;
    if (!words.empty()) words += " ";
    if (by_chance)
      words += fmt::format(
          "{} {}.", none,
          Where::words_after("In the cases measured these are exactly those with", condition));
    else if (condition.found && !condition.words.empty())
      words +=
          fmt::format("Queries {} {}.", verb, Where::words_after("exactly those with", condition));
    else if (condition.found)
      words += fmt::format("Queries {} all of them.", verb);
    else
      words += std::string(none);
  };
  if (any_extra_)
    say(extra_, "see, of the keys that the case hides" + hidden_by_.words() + ",", untold_hidden);
  if (any_missing_) say(missing_, "do not see, of the keys that the case shows,", untold_shown);
  return words;
}

std::string TokenFacts::zero_words() const {
  const std::string where = where_zeros_.words_after(" They are counted by queries with");
  for (const int64_t tile : {256, 128, 64, 32, 16, 8, 4})
    if (std::all_of(totals_.begin(), totals_.end(), [&](int64_t n) { return n % tile == 0; }))
      return fmt::format(
          "Slots that hold zeros are counted as keys, up to the next multiple of {}.{}", tile,
          where.empty() ? "" : where + ".");
  return "Slots that hold zeros are counted as keys." + (where.empty() ? "" : where + ".");
}

/// What comes out that no weight explains.
std::vector<Statement> TokenFacts::memory_statements() const {
  std::vector<Statement> all;
  if (nonfinite_ > 0)
    all.push_back(
        {"memory", fmt::format("NaN or an infinity comes out though every value is finite ({} of "
                               "{} "
                               "queries{}): memory that no token was written to takes part{}.",
                               nonfinite_, queries_, where_nonfinite_.words_after("; exactly:"),
                               cached_ ? "" : ", or the query sees no key at all")});
  if (offsets_ > 0)
    all.push_back(
        {"memory", fmt::format("With all values 0 something else comes out ({} of {} queries): "
                               "memory that no token was written to takes part.",
                               offsets_, queries_)});
  if (no_sums_ > 0)
    all.push_back({"tokens", fmt::format("{}: with other values the weights are others ({} of {} "
                                         "queries{}).",
                                         untold_no_sum, no_sums_, queries_,
                                         where_no_sums_.words_after("; exactly:"))});
  if (!factors_.empty()) all.push_back({"storage", factors_.words()});
  return all;
}

/// Which tokens are taken that should not be, and which are not that should.
std::string TokenFacts::taken_words() const {
  std::string words;
  const auto add = [&](const std::string& more) {
    if (!more.empty()) words += (words.empty() ? "" : " ") + more;
  };
  // A rule says of all queries what they see, those too that see nothing.
  const bool pure = !any_foreign_ && totals_.empty();
  const std::string rule = is_of_keys() && pure ? visible_.words() : "";
  const bool is_swap = !swaps_.empty() && swaps_.are_all();
  // A state that takes it decays its tokens by it, which may leave nothing of them.
  const bool of_padding = !is_swap && foreign_ == std::set{kind_of_padding};
  if (rule.empty() && !(is_swap && swaps_.has_rule()))
    if (std::string law = slots_.words(); !law.empty()) return law;
  if (silent_.count() > 0 && rule.empty()) add(silent_.words());
  if (silent_.count() > 0 && silent_.count() == readable()) {
    // Nothing more is to be said of what they take.
  } else if (is_swap) {
    add(swap_words());
  } else if (of_padding) {
    add("The padding of ragged steps is taken as tokens.");
  } else if (const std::string repeated = foreign_ == std::set{kind_more} ? repeated_words() : "";
             !repeated.empty()) {
    add(repeated);
  } else if (any_foreign_) {
    add(fmt::format("{}{}.", untold_foreign, fmt::join(foreign_, ", or ")));
  }
  if (is_of_keys()) {
    const std::string ends = any_missing_ && !any_extra_ ? ends_.words() : "";
    const bool is_said = !ends.empty() || !rule.empty();
    const std::string moved =
        is_said || !any_missing_ || !(any_extra_ || any_foreign_) ? "" : remap_.words();
    if (!moved.empty())
      words = "In the place of key j's value the query takes " + moved +
              missing_.words_after(": exactly for keys with") + ".";
    add(rule);
    add(ends);
    add(visible_words(!is_said && moved.empty() && !of_padding));
  }
  if (!totals_.empty() && counted_)
    add(zero_words());
  else if (!sums_.empty() && !differs_in_tokens())
    add(sums_.words());
  return words;
}

std::vector<Statement> TokenFacts::statements() const {
  if (wrong_ == 0) return {};
  std::vector<Statement> all = memory_statements();
  if (wrong_ == nonfinite_ + no_sums_) return all;
  std::string words = taken_words();
  // Where nothing tells what is taken, the weights at other scores say more.
  if (words.empty()) return all;
  words += fmt::format(" Seen at equal scores in {} of {} queries{}.", readable(), queries_,
                       where_.words_after("; exactly:"));
  // Which keys these are one case alone tells by chance.
  if (wrong_cases_ == 1 && is_of_keys()) words += " " + std::string(untold_one_case);
  words += " " + smallest_;
  if (largest_ != smallest_) words += " " + largest_;
  all.push_back({"tokens", words});
  if (!picture_.empty()) all.push_back({"picture", picture_});
  return all;
}

}  // namespace attnfuzz::measure
