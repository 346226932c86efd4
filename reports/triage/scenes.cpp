#include "reports/triage/scenes.h"

#include <algorithm>
#include <cmath>

namespace attnfuzz::triage {
namespace {

struct Alike {
  Role one, other;
  double how_much;
};
constexpr Alike kAlike[] = {
    {Role::mask, Role::bias, .6},     {Role::cache, Role::k, .5},
    {Role::cache, Role::v, .5},       {Role::cache, Role::pages, .7},
    {Role::memory, Role::k, .5},      {Role::hidden, Role::q, .4},
    {Role::hidden, Role::k, .4},      {Role::hidden, Role::v, .4},
    {Role::k, Role::v, .5},           {Role::hidden, Role::out, .4},
    {Role::weight, Role::hidden, .2}, {Role::scores, Role::weight, .2},
    {Role::memory, Role::cache, .4},  {Role::pages, Role::k, .4},
    {Role::ids, Role::hidden, .2},    {Role::out, Role::v, .2},
};

/// Whether a line that does `code` can have raised a message of this form.
bool can_raise(Form code, Form message) {
  if (code == message || code == Form::unknown) return code != Form::unknown;
  switch (message) {
    case Form::elementwise:
      return code == Form::matmul || code == Form::einsum || code == Form::copy ||
             code == Form::expand;
    case Form::matmul:
      return code == Form::einsum;
    case Form::expand:
      return code == Form::elementwise || code == Form::matmul || code == Form::copy;
    case Form::equal:
      return code == Form::matmul || code == Form::elementwise;
    case Form::copy:
      return code == Form::elementwise || code == Form::concat;
    default:
      return false;
  }
}

}  // namespace

double likeness(Role one, Role other) {
  if (one == other) return 1;
  for (const Alike& row : kAlike)
    if ((row.one == one && row.other == other) || (row.one == other && row.other == one))
      return row.how_much;
  return 0;
}

double by_label(const RoleGuess& label, Role role) {
  constexpr double least = .45, agrees = 3, against = 2.5;
  if (label.strength < least) return 0;
  const double like = likeness(label.role, role);
  return label.strength * (like >= 1 ? agrees : like > 0 ? agrees * like - .5 : -against);
}

/// The innermost line whose operation fits, if it names one of its operands.
double SceneScore::by_code(Form form, Role a, Role b) const {
  constexpr double agrees = 2.2, against = 1.8, least = .45, fading = .8;
  double weight = 1;
  size_t line = 0;
  for (const CodeOp& op : evidence_.operations) {
    if (!can_raise(op.form, form) || op.operands.empty()) continue;
    if (line != 0 && op.line != line) weight *= fading;
    if (weight < .5) break;
    const bool turned = op.operands.size() == 2 && op.operands[0].role.role == Role::rotary &&
                        op.operands[1].role.role == Role::rotary;
    if (turned) continue;  // the sum of x cos and y sin: its terms say what meets
    double score = 0;
    bool a_taken = false, b_taken = false, speaks = false;
    for (const Operand& operand : op.operands) {
      if (operand.role.strength < least) continue;
      speaks = true;
      const double to_a = a_taken ? 0 : likeness(operand.role.role, a),
                   to_b = b_taken ? 0 : likeness(operand.role.role, b);
      const double best = std::max(to_a, to_b);
      (to_a >= to_b ? a_taken : b_taken) |= best > 0;
      score += operand.role.strength * (agrees * best - against * (1 - best));
    }
    line = op.line;
    if (speaks) return score * weight;
  }
  return 0;
}

std::vector<Scene> SceneScore::all() const {
  constexpr double least = .6, weight = .4;
  std::vector<Scene> all(scenes().begin(), scenes().end());
  const auto is_known = [&](Form form, Role a, Role b) {
    return std::any_of(all.begin(), all.end(), [&](const Scene& each) {
      return each.form == form && ((each.a == a && each.b == b) || (each.a == b && each.b == a));
    });
  };
  for (const CodeOp& op : evidence_.operations) {
    if (op.operands.size() < 2) continue;
    const RoleGuess &a = op.operands[0].role, &b = op.operands[1].role;
    if (a.strength < least || b.strength < least) continue;
    for (const Form form :
         {Form::elementwise, Form::matmul, Form::concat, Form::expand, Form::copy})
      if (can_raise(op.form, form) && (form == op.form || evidence_.form(form) > 1) &&
          !is_known(form, a.role, b.role))
        all.push_back({form, a.role, b.role, weight});
  }
  return all;
}

Score SceneScore::of(const Scene& scene) const {
  constexpr double by_words = 1.1, by_form = 1.3;
  Score score(weights_);
  score.add(Term::scene, std::log(scene.weight / 10));
  score.add(Term::form, by_form * evidence_.form(scene.form));
  score.add(Term::code, by_code(scene.form, scene.a, scene.b));
  score.add(Term::words, by_words * evidence_.role(scene.a));
  score.add(Term::words, if_unnamed(scene.a));
  if (scene.b != scene.a)
    score.add(Term::words, by_words * evidence_.role(scene.b) + if_unnamed(scene.b));
  // Checks name the mask that they are about.
  constexpr double unnamed = -1, seldom_named = .3;
  const auto is_mask = [](Role role) { return role == Role::mask || role == Role::bias; };
  if (scene.form == Form::equal && is_mask(scene.a) && is_mask(scene.b) &&
      evidence_.role(Role::mask) < seldom_named && evidence_.role(Role::bias) < seldom_named)
    score.add(Term::words, unnamed);
  // A checkpoint's tensor that is named is compared with the model's own.
  constexpr double both = 2.5;
  const bool checked = scene.form == Form::equal || scene.form == Form::copy;
  if (!evidence_.parameters.empty() && !evidence_.parameters_near && checked)
    score.add(Term::label, scene.a == Role::weight && scene.b == Role::weight ? both : -both);
  else if (!evidence_.parameters.empty() && !evidence_.parameters_near)
    score.add(Term::label, -both / 2);
  return score;
}

double SceneScore::if_unnamed(Role role) const {
  struct Rare {
    Role role;
    double against;
  };
  static constexpr Rare rare[] = {{Role::pages, -1.5}, {Role::table, -1.5}, {Role::memory, -2.5},
                                  {Role::state, -2.5}, {Role::gate, -2},    {Role::ids, -1.5},
                                  {Role::rotary, -.7}, {Role::cache, -.4}};
  double named = 0;
  for (size_t k = 1; k < static_cast<size_t>(Role::count); ++k)
    if (const auto other = static_cast<Role>(k); likeness(role, other) >= .6)
      named = std::max(named, evidence_.role(other));
  // Of a tensor that few calls have a word says the more.
  constexpr double seldom_named = .3, surely = .6, share = -.5;
  for (const Rare& row : rare)
    if (row.role == role)
      return named >= surely ? share * row.against : named >= seldom_named ? 0 : row.against;
  return 0;
}

double SceneScore::of_role(Role role) const {
  return evidence_.role(role);
}

}  // namespace attnfuzz::triage
