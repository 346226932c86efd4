#include "fuzz/measure/tokens.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "fuzz/measure/attributes.h"
#include "fuzz/measure/untold.h"

namespace attnfuzz::measure {
namespace {

/// What one query does with its keys, told apart.
struct Difference {
  std::vector<Place> missing;  ///< declared and not taken
  std::vector<Place> foreign;  ///< taken: another row's, another head's, gone,
                               ///< later; or once more
  std::set<size_t> hidden;     ///< places in Held of own tokens that are taken though hidden
};

Difference difference(const Plan& plan, const Query& query, const Reading& reading) {
  Difference all;
  const int64_t head = plan.c.problem.kv_head(query.h);
  std::map<size_t, int64_t> times;
  for (const Use& use : reading.uses) times[use.source] += reading.counted ? use.times : 1;
  for (const Key& key : query.keys) {
    const auto found = times.find(key.source);
    if (found == times.end()) {
      all.missing.push_back(place_of(plan, query, key.source));
    } else {
      for (int64_t n = 1; n < found->second; ++n)
        all.foreign.push_back(place_of(plan, query, key.source));
      times.erase(found);
    }
  }
  for (const auto& [source, count] : times) {
    const Place place = place_of(plan, query, source);
    if (place.of == Place::Of::own_row && place.head == head)
      all.hidden.insert(place.place);
    else
      for (int64_t n = 0; n < count; ++n) all.foreign.push_back(place);
  }
  const auto by_position = [](const Place& a, const Place& b) {
    return std::tuple(a.of, a.row, a.head, a.position) <
           std::tuple(b.of, b.row, b.head, b.position);
  };
  std::sort(all.missing.begin(), all.missing.end(), by_position);
  std::sort(all.foreign.begin(), all.foreign.end(), by_position);
  return all;
}

std::string_view kind_of(const Place& place, const Query& query, int64_t head) {
  if (place.of == Place::Of::memory) return "a memory KV more than once";
  if (place.of == Place::Of::gone) return "a token that no row holds any more";
  if (place.of == Place::Of::later) return "a token of a later step";
  if (place.row != query.b) return "another row's token";
  return place.head != head ? "another KV head's token" : "a token of its own more than once";
}

std::string only_where(const Where& where, std::string_view what) {
  const Where::Condition condition = where.condition();
  if (!condition.found || condition.words.empty()) return "";
  return fmt::format("{} {}", what, condition.words);
}

}  // namespace

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

}  // namespace

bool TokenFacts::add(const Plan& plan, const Forge& forge, const Weights& got, const Weights& want,
                     double error) {
  ++cases_;
  heads_.push_back({{}, {}, plan.c.problem.num_heads});
  cached_ |= plan.c.cached();
  const int64_t wrong_before = wrong_;
  // Of large cases some of the queries are told apart key by key.
  constexpr size_t most_pairs = 40000;
  size_t pairs = 0;
  for (const Query& query : plan.queries)
    pairs += plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)].tokens.size();
  const size_t stride = 1 + pairs / most_pairs;
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& query = plan.queries[n];
    // What a query gives that sees no key is a matter of `fully_masked`.
    if (query.keys.empty() && plan.c.problem.fully_masked != FullyMasked::zero) continue;
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
    if (bad_value) continue;
    if (add_factors(plan, query, got.of(n), want.of(n)) && wrong) continue;
    // Weights that do not explain other values say nothing of tokens.
    const bool no_sum = wrong && got.residual[n] > std::max(rounding, 4 * error);
    where_no_sums_.add(attributes_of(plan, query), no_sum);
    no_sums_ += no_sum ? 1 : 0;
    if (no_sum) continue;
    const Reading reading = read(plan, n, got.of(n), forge.sink(query.h), error);
    const bool nothing =
        wrong && !query.keys.empty() && reading.uses.empty() && reading.zeros == 0 && !offset;
    nothing_ += nothing ? 1 : 0;
    if (!query.keys.empty()) {
      where_nothing_.add(attributes_of(plan, query), nothing);
      (nothing ? heads_.back().none : heads_.back().some).insert(query.h);
    }
    if (wrong) add_example(plan, query, reading);
    if (wrong && picture_.empty()) draw(plan, query, got);
    if (n % stride == 0) add_query(plan, query, reading);
    if (wrong && !query.keys.empty() && reading.uses.size() == query.keys.size())
      add_sum(plan, forge, query, reading);
  }
  wrong_cases_ += wrong_ > wrong_before ? 1 : 0;
  return wrong_ == wrong_before;
}

/// Where exactly the right tokens are taken, some with a multiple of their weight.
bool TokenFacts::add_factors(const Plan& plan, const Query& query, std::span<const double> got,
                             std::span<const double> want) {
  const bool quantised = plan.c.cached() && plan.c.cache->quant != Quant::none;
  if (!quantised || query.keys.empty()) return false;
  for (size_t n = 0; n < got.size(); ++n)
    if ((want[n] > 0) != (got[n] > 1e-6)) return false;
  const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)];
  lost_scale_ = largest(plan.c.cache->quant);
  bool any = false;
  for (const Key& key : query.keys) {
    if (key.position < 0) continue;
    const double factor = got[key.source] / want[key.source];
    constexpr double off = 0.1;
    const bool marked = std::abs(factor - 1) > off;
    where_factor_.add(attributes_of(plan, query, held, key.place), marked);
    if (marked) factors_.push_back(factor);
    any |= marked;
  }
  return any;
}

std::string TokenFacts::factor_words() const {
  const auto [low, high] = std::minmax_element(factors_.begin(), factors_.end());
  const bool is_lost = std::abs(*low / lost_scale_ - 1) < 0.05 && std::abs(*high / *low - 1) < 0.05;
  const Where::Condition where = where_factor_.condition();
  return fmt::format("Values come out of the quantised cache multiplied by {:.3g}{}{}: {}.", *low,
                     *high > 1.05 * *low ? fmt::format(" to {:.3g}", *high) : "",
                     is_lost ? ", as if their scale were ignored and 1 used in its place" : "",
                     !where.found          ? "for some of the tokens"
                     : where.words.empty() ? "all of them"
                                           : "exactly for keys with " + where.words);
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

/// The keys that the row holds, for the queries of a step and head: as declared, and as measured.
void TokenFacts::draw(const Plan& plan, const Query& query, const Weights& got) {
  const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)];
  constexpr size_t most = 40;
  const size_t width = std::min(most, held.tokens.size());
  const int64_t head = plan.c.problem.kv_head(query.h);
  std::string lines;
  size_t count = 0;
  for (size_t n = 0; n < plan.queries.size() && count < most; ++n) {
    const Query& each = plan.queries[n];
    if (each.step != query.step || each.b != query.b || each.h != query.h) continue;
    ++count;
    std::string declared(width, '.'), seen(width, '.');
    double sum = 0, own = 0;
    for (const double w : got.of(n)) sum += w;
    for (size_t j = 0; j < width; ++j) {
      const size_t source = plan.source(held.tokens[j], head);
      for (const Key& key : each.keys)
        if (key.source == source) declared[j] = '#';
      if (got.of(n)[source] > 1e-6) seen[j] = '#';
    }
    for (const Token& token : held.tokens) own += got.of(n)[plan.source(token, head)];
    lines += fmt::format("{:>4}  {}   {}{}\n", each.i, declared, seen,
                         sum - own > 1e-3 ? "  and tokens of elsewhere" : "");
  }
  picture_ = fmt::format("{}, queries down, the row's keys across: declared, and measured\n{}",
                         describe_query(plan, query), lines);
}

void TokenFacts::add_query(const Plan& plan, const Query& query, const Reading& reading) {
  const Difference all = difference(plan, query, reading);
  const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)];
  std::set<int64_t> heads;
  for (const Use& use : reading.uses) heads.insert(plan.sources[use.source].head);
  if (const Problem& p = plan.c.problem; heads.size() == 1)
    heads_used_.insert({query.h, p.num_heads, p.num_kv_heads, p.kv_head(query.h), *heads.begin()});
  const bool swaps = !all.foreign.empty() && all.missing.size() == all.foreign.size();
  all_swapped_ &= all.hidden.empty() && (swaps || (all.missing.empty() && all.foreign.empty()));
  any_extra_ |= !all.hidden.empty();
  any_missing_ |= !all.missing.empty();
  any_foreign_ |= !all.foreign.empty();
  for (const Place& place : all.foreign)
    foreign_.insert(kind_of(place, query, plan.c.problem.kv_head(query.h)));
  counted_ &= reading.counted;
  if (reading.zeros > 0) {
    int64_t used = reading.zeros;
    for (const Use& use : reading.uses) used += use.times;
    totals_.push_back(used);
  }
  zeros_.insert(reading.zeros);
  std::set<size_t> missing, seen;
  for (const Place& place : all.missing)
    if (place.of == Place::Of::own_row) missing.insert(place.place);
  add_ends(plan, query, std::vector<size_t>(missing.begin(), missing.end()));
  std::vector<uint8_t> own(held.tokens.size(), 0);
  for (const Key& key : query.keys)
    if (key.position >= 0 && missing.count(key.place) == 0) own[key.place] = 1;
  for (const size_t place : all.hidden) own[place] = 1;
  std::vector<Place> takes = all.foreign;
  for (const size_t place : all.hidden)
    takes.push_back({Place::Of::own_row, query.b, query.b, plan.c.problem.kv_head(query.h),
                     held.positions[place], place});
  remap_.add(plan, query, all.missing, takes);
  visible_.add(plan, query, own);
  for (const Key& key : query.keys)
    if (key.position >= 0) seen.insert(key.place);
  for (size_t j = 0; j < held.tokens.size(); ++j) {
    const Where::Attributes attributes = attributes_of(plan, query, held, j);
    if (seen.count(j) != 0) {
      missing_.add(attributes, missing.count(j) != 0);
      swapped_.add(attributes, swaps && missing.count(j) != 0);
    } else {
      extra_.add(attributes, all.hidden.count(j) != 0);
    }
  }
  for (size_t n = 0; swaps && n < all.missing.size(); ++n)
    swaps_.push_back({all.missing[n], all.foreign[n], query.b, plan.c.problem.kv_head(query.h)});
}

/// `missing`: places, in order. How many a query lacks that sees none is not known.
void TokenFacts::add_ends(const Plan& plan, const Query& query, std::span<const size_t> missing) {
  std::vector<size_t> shown;
  for (const Key& key : query.keys)
    if (key.position >= 0) shown.push_back(key.place);
  std::sort(shown.begin(), shown.end());
  if (shown.empty() || missing.size() == shown.size()) return;
  all_oldest_ &= std::equal(missing.begin(), missing.end(), shown.begin());
  all_newest_ &= std::equal(missing.rbegin(), missing.rend(), shown.rbegin());
  ends_.add(plan, query, static_cast<int64_t>(missing.size()));
  if (!missing.empty()) kept_.add(plan, query, static_cast<int64_t>(shown.size() - missing.size()));
}

/// The keys at one end that are missing, and how many.
std::string TokenFacts::end_words() const {
  if (all_oldest_ == all_newest_ || kept_.empty()) return "";
  const std::string_view lost = all_oldest_ ? "oldest" : "newest",
                         left = all_oldest_ ? "newest" : "oldest";
  if (ends_.varies() && ends_.is_known())
    return fmt::format("The {} keys that the case shows are not seen by these queries: {}.", lost,
                       ends_.words("key"));
  if (kept_.is_known())
    return fmt::format("Of the keys that the case shows these queries see the {} alone: {}.", left,
                       kept_.words("key"));
  return "";
}

std::string TokenFacts::nothing_words() const {
  const bool by_head = std::all_of(heads_.begin(), heads_.end(), [](const Heads& each) {
    return std::none_of(each.none.begin(), each.none.end(),
                        [&](int64_t h) { return each.some.count(h) != 0; });
  });
  const auto one = std::max_element(
      heads_.begin(), heads_.end(),
      [](const Heads& a, const Heads& b) { return a.none.size() < b.none.size(); });
  if (by_head && !one->some.empty())
    return fmt::format(
        "The outputs of query heads {} (of {}) are zeros, whatever the values are: they are never "
        "written, or nothing is computed for these heads.",
        ranges({one->none.begin(), one->none.end()}), one->count);
  return fmt::format(
      "The outputs of {} queries are zeros, whatever the values are: they are not written, or no "
      "key is taken{}.",
      nothing_, only_where(where_nothing_, "; exactly for queries with"));
}

void TokenFacts::add_sum(const Plan& plan, const Forge& forge, const Query& query,
                         const Reading& reading) {
  const auto [low, high] =
      std::minmax_element(reading.uses.begin(), reading.uses.end(),
                          [](const Use& a, const Use& b) { return a.weight < b.weight; });
  if (low->weight <= 0 || high->weight > 1.01 * low->weight) return;
  const auto keys = static_cast<double>(reading.uses.size());
  Sum sum{1 / low->weight - keys, keys * low->weight, query.h, {}};
  sum.scaled = plan.c.cached() && plan.c.cache->quant != Quant::none;
  if (plan.c.problem.sinks)
    for (int64_t h = 0; h < plan.c.problem.num_heads; ++h)
      sum.sinks.push_back(std::exp(forge.sink(h)));
  sums_.push_back(std::move(sum));
}

/// What the weights add up to, where that alone is wrong.
std::string TokenFacts::sum_words() const {
  const auto all = [&](const auto& holds) {
    return std::all_of(sums_.begin(), sums_.end(), holds);
  };
  const auto near = [](double a, double b) { return std::abs(a - b) <= 0.02 * (1 + std::abs(b)); };
  const bool sinks = !sums_.front().sinks.empty();
  if (sinks && all([&](const Sum& s) { return near(s.seen, 0); }))
    return "The softmax's denominator leaves out the sink: the weights of the keys add up to one, "
           "the sink takes no part.";
  if (sinks && all([&](const Sum& s) { return near(s.seen, s.sinks[0]); }))
    return "All query heads have the sink of head 0.";
  if (sinks &&
      all([&](const Sum& s) { return near(s.seen, 2 * s.sinks[static_cast<size_t>(s.head)]); }))
    return "The sink is counted twice.";
  if (sinks && all([&](const Sum& s) {
        return std::any_of(s.sinks.begin(), s.sinks.end(),
                           [&](double x) { return near(s.seen, x); });
      }))
    return "Query heads have the sink of another head.";
  return fmt::format("{}{:.3g} (the first query that is wrong).", untold_sum, sums_.front().total);
}

/// What is taken in the place of what, as one rule: of which row, which head,
/// which place.
std::string TokenFacts::swap_words() const {
  const auto all = [&](const auto& holds) {
    return std::all_of(swaps_.begin(), swaps_.end(), holds);
  };
  const Swap& first = swaps_.front();
  const int64_t shift = first.to.position - first.from.position;
  std::string place = "other tokens";
  if (all([](const Swap& s) { return s.to.position == s.from.position; }))
    place = "the token at the same place";
  else if (all([&](const Swap& s) { return s.to.position - s.from.position == shift; }))
    place = fmt::format("the token {} place{} {}", std::abs(shift), std::abs(shift) == 1 ? "" : "s",
                        shift < 0 ? "before" : "behind");
  else if (all([&](const Swap& s) { return s.to.position == first.to.position; }))
    place = fmt::format("token {}", first.to.position);
  std::string row;
  const auto of = [&](Place::Of kind) {
    return all([=](const Swap& s) { return s.to.of == kind; });
  };
  if (of(Place::Of::own_row))
    row = place == "the token at the same place" ? "" : " of the same row";
  else if (all([](const Swap& s) { return s.to.came == s.row; }))
    row = " that came in the row itself, where it was moved away or dropped since";
  else if (of(Place::Of::gone))
    row = " that the row held before, or that a row was to give up";
  else if (of(Place::Of::later))
    row = " that comes in a later step";
  else if (all([](const Swap& s) { return s.to.row == 0; }))
    row = " of row 0";
  else if (all([](const Swap& s) { return s.to.row == s.row - 1; }))
    row = " of the row before";
  else if (of(Place::Of::other_row))
    row = " of another row";
  std::string head;
  if (!all([](const Swap& s) { return s.to.head == s.head; })) {
    std::map<int64_t, std::set<int64_t>> heads;
    for (const Swap& s : swaps_) heads[s.head].insert(s.to.head);
    std::vector<std::string> pairs;
    for (const auto& [from, to] : heads)
      for (const int64_t each : to) pairs.push_back(fmt::format("{} → {}", from, each));
    head = fmt::format(" of another KV head ({})", fmt::join(pairs, ", "));
    if (const std::string law = head_law(heads_used_); !law.empty()) head += ": " + law;
  }
  if (place == "other tokens")
    if (const std::string rule = remap_.words(); !rule.empty())
      return "In the place of key j's value the query takes " + rule +
             only_where(swapped_, ": exactly for keys with") + ".";
  return "In the place of a key's value the query takes that of " + place + row + head +
         only_where(swapped_, ": exactly for keys with") + ".";
}

/// `any`: also where no condition tells which keys these are.
std::string TokenFacts::visible_words(bool any) const {
  std::string words;
  const auto say = [&](const Where& where, std::string_view verb, std::string_view none) {
    const Where::Condition condition = where.condition();
    if (!any && !condition.found) return;
    if (!words.empty()) words += " ";
    if (condition.found && !condition.words.empty())
      words += fmt::format("Queries {} exactly those with {}.", verb, condition.words);
    else if (condition.found)
      words += fmt::format("Queries {} all of them.", verb);
    else
      words += std::string(none);
  };
  if (any_extra_) say(extra_, "see, of the keys that the case hides,", untold_hidden);
  if (any_missing_) say(missing_, "do not see, of the keys that the case shows,", untold_shown);
  return words;
}

std::string TokenFacts::foreign_words() const {
  return fmt::format("{}{}.", untold_foreign, fmt::join(foreign_, ", or "));
}

std::string TokenFacts::zero_words() const {
  for (const int64_t tile : {256, 128, 64, 32, 16, 8, 4})
    if (std::all_of(totals_.begin(), totals_.end(), [&](int64_t n) { return n % tile == 0; }))
      return fmt::format(
          "Slots that hold zeros are counted as keys, up to the "
          "next multiple of {}.",
          tile);
  return "Slots that hold zeros are counted as keys.";
}

std::vector<Statement> TokenFacts::statements() const {
  std::vector<Statement> all;
  if (wrong_ == 0) return all;
  if (nonfinite_ > 0)
    all.push_back(
        {"memory", fmt::format("NaN or an infinity comes out though every value is finite ({} of "
                               "{} "
                               "queries{}): memory that no token was written to takes part{}.",
                               nonfinite_, queries_, only_where(where_nonfinite_, "; exactly:"),
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
                                         only_where(where_no_sums_, "; exactly:"))});
  if (!factors_.empty()) all.push_back({"storage", factor_words()});
  if (wrong_ == nonfinite_ + no_sums_) return all;
  std::string words;
  const auto add = [&](const std::string& more) {
    if (!more.empty()) words += (words.empty() ? "" : " ") + more;
  };
  if (nothing_ > 0) add(nothing_words());
  const int64_t readable = wrong_ - nonfinite_ - no_sums_;
  if (nothing_ > 0 && nothing_ == readable) {
    // Nothing more is to be said of what they take.
  } else if (!swaps_.empty() && all_swapped_)
    add(swap_words());
  else if (any_foreign_)
    add(foreign_words());
  if (nothing_ < readable && !all_swapped_ && (any_extra_ || any_missing_)) {
    std::string ends = any_missing_ && !any_extra_ ? end_words() : "";
    std::string rule = any_foreign_ || !totals_.empty() ? "" : visible_.words();
    const bool is_said = !ends.empty() || !rule.empty();
    const std::string moved =
        is_said || !any_missing_ || !(any_extra_ || any_foreign_) ? "" : remap_.words();
    if (!moved.empty())
      words = "In the place of key j's value the query takes " + moved +
              only_where(missing_, ": exactly for keys with") + ".";
    add(rule);
    add(ends);
    add(visible_words(!is_said && moved.empty()));
  }
  if (!totals_.empty() && counted_)
    add(zero_words());
  else if (!sums_.empty() && !differs_in_tokens())
    add(sum_words());
  // Where nothing tells what is taken, the weights at other scores say more.
  if (words.empty()) return all;
  const std::string where = only_where(where_, "; exactly:");
  add(fmt::format("Seen at equal scores in {} of {} queries{}.", readable, queries_, where));
  // Which keys these are one case alone tells by chance.
  if (wrong_cases_ == 1 && nothing_ < readable && !all_swapped_ && (any_extra_ || any_missing_))
    add(std::string(untold_one_case));
  add(smallest_);
  if (largest_ != smallest_) add(largest_);
  all.push_back({"tokens", words});
  if (!picture_.empty()) all.push_back({"picture", picture_});
  return all;
}

}  // namespace attnfuzz::measure
