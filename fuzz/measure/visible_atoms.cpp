#include "fuzz/measure/visible_atoms.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "oracle/lower/cache_history.h"

namespace attnfuzz::measure {
namespace {

/// Where a rule may take its query to stand.
struct Stand {
  const char* words;
  int64_t position;
  int cost;
};

/// Of Atoms::stands_.
constexpr size_t first_of_step = 5, last_of_step = 6;

/// Whose multiples lengths may be rounded down to.
constexpr int64_t tiles[] = {2, 4, 8, 16, 32, 64, 128};

class Atoms {
 public:
  Atoms(const Plan& plan, const Query& query)
      : plan_(plan),
        c_(plan.c),
        query_(query),
        held_(plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)]) {
    const int64_t first =
        c_.cached()
            ? c_.steps[static_cast<size_t>(query.step)].first_query(static_cast<size_t>(query.b))
            : 0;
    const int64_t i = query.i - first, position = query.position;
    const int64_t count = static_cast<int64_t>(held_.tokens.size());
    const int64_t q_len =
        c_.cached() ? c_.steps[static_cast<size_t>(query.step)].q_len : c_.problem.q_len;
    stands_ = {{"", position, 0},
               {c_.cached() ? ", counted from the query's place in its step"
                            : ", counted from the query's own number (aligned top left)",
                i, 1},
               {", for a query at the end of the row's keys (kv_len − q_len farther on)",
                count - q_len + query.i, 1},
               {", for a query one place farther on", position + 1, 1},
               {", for a query one place back", position - 1, 1},
               {", for the first query of its step", position - i, 1},
               {", for the last query of its step", position - i + q_len - 1 - first, 1}};
  }

  std::vector<VisibleAtom> all() {
    add_causal();
    add_window();
    add_tiles();
    add_prefix();
    add_documents();
    add_chunk();
    add_padding();
    add_boolean();
    add_others();
    add_cache();
    add_places();
    add_options();
    return std::move(atoms_);
  }

 private:
  void add(std::string words, int cost, const std::function<bool(int64_t position)>& holds) {
    VisibleAtom atom{std::move(words), cost, {}};
    for (const int64_t position : held_.positions) atom.holds.push_back(holds(position) ? 1 : 0);
    atoms_.push_back(std::move(atom));
  }
  void add_by_place(std::string words, int cost, const std::function<bool(size_t place)>& holds) {
    VisibleAtom atom{std::move(words), cost, {}};
    for (size_t j = 0; j < held_.positions.size(); ++j) atom.holds.push_back(holds(j) ? 1 : 0);
    atoms_.push_back(std::move(atom));
  }

  /// A rule as it stands in the case; one that the case does not have hides nothing.
  std::vector<uint8_t> applied(const RuleUse* use, int64_t position, int64_t b) const {
    return use == nullptr ? std::vector<uint8_t>(held_.positions.size(), 1)
                          : shown_by(plan_, query_, *use, position, b);
  }
  void add_use(const std::string& words, int cost, const RuleUse* use) {
    for (const Stand& stand : stands_)
      atoms_.push_back(
          {words + stand.words, cost + stand.cost, applied(use, stand.position, query_.b)});
  }
  void add_rule(std::string_view name, const std::string& words) {
    const RuleUse* use = c_.problem.mask.find(name);
    add_use(words, 1, use);
    atoms_.push_back({words + ", by batch row 0's", 3, applied(use, query_.position, 0)});
  }

  void add_causal() {
    const bool has = c_.cached() || c_.problem.mask.find("causal") != nullptr;
    for (const Stand& stand : stands_)
      add(std::string("the key is not after the query (causal)") + stand.words, 1 + stand.cost,
          [&](int64_t j) { return !has || j <= stand.position; });
    add("the key is not after the query, in causal cases and others", 2,
        [this](int64_t j) { return j <= query_.position; });
  }

  /// Which rules the mask is made of may decide which of them are applied.
  void add_options() {
    for (const RuleSpec* spec : rule_table())
      if (!spec->adds_bias)
        add(fmt::format("\"{}\" is in the mask", spec->name), 2,
            [=, this](int64_t) { return c_.problem.mask.find(spec->name) != nullptr; });
  }

  void add_window() {
    const RuleUse* use = c_.problem.mask.find("window");
    const int64_t left = use == nullptr ? 0 : use->integer(0),
                  right = use == nullptr ? 0 : use->integer(1);
    const auto limit = [&](std::string words, int cost, int64_t size, bool back) {
      for (const Stand& stand : stands_)
        add(words + stand.words, cost + stand.cost, [&](int64_t j) {
          return use == nullptr || (back ? j >= stand.position - size : j <= stand.position + size);
        });
    };
    limit("the key is within the window's left limit", 1, left, true);
    limit("the key is within the window's right limit", 1, right, false);
    for (const auto& [words, more] : {std::pair{" + 1", 1}, {" − 1", -1}}) {
      limit(fmt::format("the key is within the window's left limit{}", words), 2, left + more,
            true);
      limit(fmt::format("the key is within the window's right limit{}", words), 2, right + more,
            false);
    }
    for (const auto& [words, more] : {std::pair{"", 0}, {" + 1", 1}, {" − 1", -1}}) {
      limit(fmt::format("the key is no farther back than the window's right{}", words),
            3 + std::abs(more), right + more, true);
      limit(fmt::format("the key is no farther on than the window's left{}", words),
            3 + std::abs(more), left + more, false);
    }
  }

  /// Limits that are kept by whole tiles only: where the tile of the limit's key ends. A kernel
  /// takes the limits of the query, or those of all queries that it works on together.
  void add_tiles() {
    const int64_t first = stands_[first_of_step].position, last = stands_[last_of_step].position;
    const auto add_tile = [&](const std::string& of, int cost, int64_t tile) {
      const int64_t begin = query_.position - (query_.position - first) % tile,
                    end = std::min(last, begin + tile - 1);
      add_tile_of("the", of, cost, tile, {query_.position, query_.position});
      add_tile_of("its step's", of, cost + 1, tile, {first, last});
      add_tile_of("its tile's", of, cost + 1, tile, {begin, end});
    };
    for (const int64_t tile : tiles) add_tile(fmt::format("{} keys", tile), 3, tile);
    add_tile("page_size keys", 2, c_.cached() ? std::max<int64_t>(1, c_.cache->page_size) : 1);
  }

  /// `queries`: the first and the last whose limits are taken.
  void add_tile_of(std::string_view whose, const std::string& of, int cost, int64_t tile,
                   std::pair<int64_t, int64_t> queries) {
    const RuleUse* window = c_.problem.mask.find("window");
    const bool causal = c_.cached() || c_.problem.mask.find("causal") != nullptr;
    const int64_t left = window == nullptr ? 0 : queries.first - window->integer(0),
                  right = window == nullptr ? 0 : queries.second + window->integer(1);
    const auto first = [=](int64_t j) { return std::max<int64_t>(0, j) / tile * tile; };
    const bool own = whose == "the";
    const auto words = [&](std::string_view limit, std::string_view which) {
      return own ? fmt::format("the key is within {} or in its tile of {}", limit, of)
                 : fmt::format("the key is within {} of {} {} query or in its tile of {}", limit,
                               whose, which, of);
    };
    add(words("the window's left limit", "first"), cost,
        [=](int64_t j) { return window == nullptr || j >= first(left); });
    add(words("the window's right limit", "last"), cost,
        [=](int64_t j) { return window == nullptr || j < first(right) + tile; });
    add(own ? fmt::format("the key is not after the query's tile of {} (causal)", of)
            : fmt::format("the key is not after the tile of {} of {} last query (causal)", of,
                          whose),
        cost, [=](int64_t j) { return !causal || j < first(queries.second) + tile; });
  }

  void add_prefix() {
    const RuleUse* use = c_.problem.mask.find("prefix");
    add_rule("prefix", "the key is not after the query, or in the prefix");
    const auto part = [&](const std::string& whose, size_t b, int cost) {
      const int64_t size = use == nullptr ? 0 : use->list(0)[b];
      add("the key is in the prefix" + whose, cost, [=](int64_t j) { return j < size; });
      add("the query is in the prefix" + whose, cost,
          [this, size](int64_t) { return query_.position < size; });
    };
    part("", static_cast<size_t>(query_.b), 1);
    part(" of batch row 0", 0, 3);
  }

  /// The same of the key, of the query, and of both.
  void add_of_both(std::string_view words, int cost,
                   const std::function<bool(int64_t position)>& holds) {
    const bool of_query = holds(query_.position);
    add(fmt::format("the key is {}", words), cost, holds);
    add(fmt::format("the query is {}", words), cost, [=](int64_t) { return of_query; });
    add(fmt::format("key and query are both {}", words), cost,
        [&](int64_t j) { return of_query && holds(j); });
  }

  /// Rules that give their tokens to groups of these lengths: "documents", "spans".
  void add_groups() {
    for (const RuleSpec* spec : rule_table())
      for (size_t n = 0; n < spec->params.size(); ++n)
        if (spec->params[n].kind == RuleParam::Kind::lengths) add_groups_of(*spec, n);
  }

  void add_groups_of(const RuleSpec& spec, size_t param) {
    const RuleUse* use = c_.problem.mask.find(spec.name);
    // "document" of "documents"
    const std::string group(spec.name.substr(0, spec.name.size() - 1));
    std::vector<int64_t> lens, firsts;
    if (use != nullptr) lens = use->list(param);
    int64_t end = 0;
    for (const int64_t len : lens) {
      firsts.push_back(end);
      end += len;
    }
    const auto group_of = [=](int64_t position) {
      size_t n = 0;
      while (n + 1 < firsts.size() && position >= firsts[n + 1]) ++n;
      return n;
    };
    const bool has = use != nullptr && !lens.empty();
    const auto of_place = [&](const std::string& words, int cost, const auto& holds) {
      add_of_both(words, cost, [=](int64_t position) {
        return !has || position >= end || holds(position, group_of(position));
      });
    };
    of_place("in the first " + group, 1, [](int64_t, size_t n) { return n == 0; });
    of_place("in the last " + group, 1, [=](int64_t, size_t n) { return n + 1 == lens.size(); });
    of_place("in some " + group + " of several tokens", 1,
             [=](int64_t, size_t n) { return lens[n] > 1; });
    of_place("the first token of its " + group, 2,
             [=](int64_t position, size_t n) { return position == firsts[n]; });
    of_place("the last token of its " + group, 2,
             [=](int64_t position, size_t n) { return position == firsts[n] + lens[n] - 1; });
    for (const int64_t tile : tiles)
      of_place(
          fmt::format("within the largest multiple of {} tokens of its {}", tile, group), 2,
          [=](int64_t position, size_t n) { return position - firsts[n] < lens[n] / tile * tile; });
    const auto with_query = [&](const std::string& words, int cost, const auto& holds) {
      const size_t own = has ? group_of(query_.position) : 0;
      add(words, cost, [&](int64_t j) {
        return !has || j >= end || query_.position >= end || holds(group_of(j), own);
      });
    };
    with_query("the key is in the query's " + group, 1, std::equal_to<>());
    with_query("the key is in the query's " + group + " or an earlier one", 2, std::less_equal<>());
    with_query("the key is in the query's " + group + " or a later one", 2, std::greater_equal<>());
  }

  void add_documents() {
    add_rule("documents", "the key is in the query's document");
    add_groups();
  }

  void add_chunk() {
    const RuleUse* use = c_.problem.mask.find("chunk");
    add_rule("chunk", "the key is in the query's chunk");
    for (const int64_t more : {1, -1}) {
      RuleUse other = use == nullptr ? RuleUse{} : *use;
      if (use != nullptr) other.values[0] = std::max<int64_t>(1, use->integer(0) + more);
      add_use(fmt::format("the key is in the query's chunk of one token {}",
                          more > 0 ? "more" : "less"),
              2, use == nullptr ? nullptr : &other);
    }
    const int64_t size = use == nullptr ? 0 : use->integer(0);
    add("the key is fewer places back than the chunk has", 2,
        [=, this](int64_t j) { return use == nullptr || j > query_.position - size; });
  }

  void add_padding() {
    const RuleUse* use = c_.problem.mask.find("padding");
    add_rule("padding", "the key is a real token of its row (padding)");
    for (const auto& [side, words] :
         {std::pair{0, "the key is one of the last lens of its row (padding)"},
          {1, "the key is one of the first lens of its row (padding)"}}) {
      RuleUse other = use == nullptr ? RuleUse{} : *use;
      if (use != nullptr) other.values[0] = int64_t{side};
      atoms_.push_back({words, 2, applied(use == nullptr ? nullptr : &other, 0, query_.b)});
    }
    // What a mask of keys says of the query's own number.
    const std::vector<uint8_t> real = applied(use, 0, query_.b);
    const auto i = static_cast<size_t>(query_.i);
    add("the padding mask of the keys has the query's number set", 2,
        [&](int64_t) { return use == nullptr || (i < real.size() && real[i] != 0); });
  }

  void add_boolean() {
    const RuleUse* use = c_.problem.mask.find("boolean");
    std::vector<uint8_t> set = applied(use, query_.position, query_.b);
    atoms_.push_back({"the boolean mask is set", 1, set});
    if (use != nullptr)
      for (uint8_t& each : set) each = each == 0 ? 1 : 0;
    atoms_.push_back({"the boolean mask is not set", 2, set});
  }

  /// Rules that have no variants here.
  void add_others() {
    static constexpr std::string_view known[] = {"causal", "window",  "prefix", "documents",
                                                 "chunk",  "padding", "boolean"};
    for (const RuleSpec* spec : rule_table())
      if (!spec->adds_bias && std::ranges::find(known, spec->name) == std::end(known))
        add_use(fmt::format("\"{}\" holds ({})", spec->name, spec->words), 1,
                c_.problem.mask.find(spec->name));
  }

  void add_cache() {
    for (const Stand& stand : stands_)
      add(std::string("the cache's own limit shows the key") + stand.words, 1 + stand.cost,
          [&](int64_t j) {
            return !c_.cached() ||
                   cache_shows(*c_.cache, stand.position, j, c_.problem.kv_head(query_.h));
          });
    const int64_t capacity = c_.cached() ? c_.cache->capacity : 0;
    add("the key is fewer places back than the cache's capacity", 2,
        [=, this](int64_t j) { return capacity <= 0 || query_.position - j < capacity; });
  }

  void add_places() {
    const size_t count = held_.tokens.size();
    const auto came = [this](size_t j) { return held_.tokens[j].step == query_.step; };
    add_by_place("the key came with the query's step", 2, came);
    add_by_place("the key came before the query's step", 2,
                 [&](size_t j) { return c_.cached() && !came(j); });
    add("the key is the query's own", 2, [this](int64_t j) { return j == query_.position; });
    add("the key is not the query's own", 2, [this](int64_t j) { return j != query_.position; });
    add_by_place("the key is not the newest of its row", 2,
                 [=](size_t j) { return j + 1 < count; });
    add_by_place("the key is not the first of its row", 2, [](size_t j) { return j > 0; });
    for (const int64_t tile : tiles)
      add_by_place(
          fmt::format("the key is within the largest multiple of {} keys of its row", tile), 3,
          [=](size_t j) {
            return j < count / static_cast<size_t>(tile) * static_cast<size_t>(tile);
          });
    const bool is_first = query_.position == stands_[first_of_step].position;
    add("the query is the first query of its step", 2, [=](int64_t) { return is_first; });
  }

  const Plan& plan_;
  const Case& c_;
  const Query& query_;
  const Held& held_;
  std::vector<Stand> stands_;
  std::vector<VisibleAtom> atoms_;
};

}  // namespace

std::vector<uint8_t> shown_by(const Plan& plan, const Query& query, const RuleUse& rule,
                              int64_t position, int64_t b) {
  const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)];
  const Case& c = plan.c;
  std::vector<uint8_t> visible(held.positions.size(), 1);
  const RowContext context{c.problem,
                           c.data,
                           b,
                           query.h,
                           query.i,
                           position,
                           held.positions,
                           c.cached() ? 0 : first_token(c.problem, b),
                           query.step};
  rule.spec->apply(rule, context, {visible, {}});
  return visible;
}

std::vector<VisibleAtom> visible_atoms(const Plan& plan, const Query& query) {
  return Atoms(plan, query).all();
}

}  // namespace attnfuzz::measure
