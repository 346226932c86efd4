#include "reports/triage/layouts.h"

#include <algorithm>
#include <array>
#include <vector>

namespace attnfuzz::triage {
namespace {

/// Each role's together. In texts of errors, three axes are as common as four.
constexpr Layout kLayouts[] = {
    {Role::q, "bhqd", 8},        {Role::q, "bqhd", 5},         {Role::q, "Bqd", 2.5},
    {Role::q, "bqm", 2},         {Role::q, "qbm", .7},         {Role::q, "thd", 3},
    {Role::q, "bgrqd", 1},       {Role::q, "bqgrd", .5},       {Role::q, "qBd", .4},
    {Role::q, "tm", 1},          {Role::q, "hqd", 0.8},        {Role::q, "qhd", .7},
    {Role::q, "qd", 1},          {Role::q, "qbhd", .6},        {Role::q, "bqd", 1},
    {Role::q, "bhd", .4},        {Role::q, "hd", .4},          {Role::q, "bh", .3},
    {Role::q, "bqhD2", .3},      {Role::q, "bqhD1", .1},       {Role::q, "bhqD2", .2},
    {Role::q, "bgrd", .4},       {Role::q, "d", .2},           {Role::q, "Bd", .2},
    {Role::k, "bgkd", 8},        {Role::k, "bkgd", 5},         {Role::k, "bhkd", 2},
    {Role::k, "bkhd", 1},        {Role::k, "kgbd", .3},        {Role::k, "t1d", .5},
    {Role::k, "Bkd", 2.5},       {Role::k, "Bdk", 1},          {Role::k, "Bd", .5},
    {Role::k, "bgdk", 2},        {Role::k, "bhdk", .7},        {Role::k, "bkn", 1},
    {Role::k, "bkm", 1},         {Role::k, "kbm", .5},         {Role::k, "ugd", 2},
    {Role::k, "gkd", 1},         {Role::k, "kgd", 1},          {Role::k, "hkd", 0.2},
    {Role::k, "kd", 1},          {Role::k, "dk", .7},          {Role::k, "kbgd", .5},
    {Role::k, "un", .6},         {Role::k, "bkd", 1},          {Role::k, "bdk", .5},
    {Role::k, "bg1kd", .6},      {Role::k, "gd", .4},          {Role::k, "bg", .3},
    {Role::k, "bgd", .4},        {Role::k, "kBd", .6},         {Role::k, "bmk", .3},
    {Role::k, "bnk", .3},        {Role::k, "tgd", 1.5},        {Role::v, "bgke", 8},
    {Role::v, "bkge", 5},        {Role::v, "bhke", 2},         {Role::v, "bkhe", 1},
    {Role::v, "Bke", 2.5},       {Role::v, "bkn", 1},          {Role::v, "Bk", .5},
    {Role::v, "bkm", 1},         {Role::v, "uge", 2},          {Role::v, "gke", .8},
    {Role::v, "kge", 1},         {Role::v, "hke", .5},         {Role::v, "ke", 1},
    {Role::v, "bke", 1},         {Role::v, "bg1ke", .6},       {Role::v, "bg", .3},
    {Role::v, "ge", .4},         {Role::v, "tge", 1.5},        {Role::v, "kBe", .4},
    {Role::v, "bgek", .5},       {Role::v, "bhek", .4},        {Role::v, "Bek", .4},
    {Role::out, "bhqe", 6},      {Role::out, "bqhe", 5},       {Role::out, "bqm", 4},
    {Role::out, "Bqe", 2},       {Role::out, "the", 2},        {Role::out, "tm", 2},
    {Role::out, "qbm", .5},      {Role::out, "bqH", 1},        {Role::out, "tH", 0.8},
    {Role::out, "bhqqhe", .1},   {Role::out, "qBe", .3},       {Role::scores, "bhqk", 14},
    {Role::scores, "Bqk", 4},    {Role::scores, "bgrqk", 2.5}, {Role::scores, "hqk", 0.8},
    {Role::scores, "bqk", 2},    {Role::scores, "bqhk", 0.9},  {Role::scores, "qk", 1},
    {Role::scores, "bohqk", .6}, {Role::scores, "bhk", .3},    {Role::scores, "qhk", .2},
    {Role::scores, "bqgrk", .2}, {Role::scores, "Bhqk", .2},   {Role::scores, "bhqhk", .2},
    {Role::mask, "bhqk", 10},    {Role::mask, "bqk", 2},       {Role::mask, "qk", 4},
    {Role::mask, "bk", 4},       {Role::mask, "k", .6},        {Role::mask, "Bqk", 1.2},
    {Role::mask, "hqk", .4},     {Role::mask, "bohqk", .5},    {Role::mask, "b1k", .5},
    {Role::mask, "b11qk", .6},   {Role::mask, "bqhk", .3},     {Role::mask, "bq", .5},
    {Role::mask, "q", .2},       {Role::mask, "bq1", .4},      {Role::mask, "bk1", .3},
    {Role::mask, "b1q1", .3},    {Role::mask, "b1k1", .3},     {Role::mask, "h1qk", .1},
    {Role::bias, "bhqk", 6},     {Role::bias, "hqk", 4},       {Role::bias, "Bqk", 3},
    {Role::bias, "qk", 1},       {Role::bias, "bqk", .7},      {Role::bias, "h", .3},
    {Role::bias, "bohqk", .5},   {Role::bias, "bgrqk", .3},    {Role::bias, "qkh", .3},
    {Role::rotary, "qd", 3},     {Role::rotary, "xd", 1.5},    {Role::rotary, "bqd", 3},
    {Role::rotary, "bhqd", 4},   {Role::rotary, "bqhd", 2.5},  {Role::rotary, "qbhd", 1},
    {Role::rotary, "kd", .7},    {Role::rotary, "qD", 1},      {Role::rotary, "bqD", 1},
    {Role::rotary, "bqhD", .5},  {Role::rotary, "xD", .5},     {Role::rotary, "D", .3},
    {Role::rotary, "1qd", 1},    {Role::rotary, "qhd", .7},    {Role::rotary, "qhD", .4},
    {Role::rotary, "3bqd", .5},  {Role::rotary, "bq1D2", .4},  {Role::cache, "bgcd", 6},
    {Role::cache, "bcgd", 4},    {Role::cache, "bgkd", 5},     {Role::cache, "bgad", 0.5},
    {Role::cache, "bkgd", 2},    {Role::cache, "Gcd", 1},      {Role::cache, "cbgd", .5},
    {Role::cache, "cgd", 1.5},   {Role::cache, "gcd", .7},     {Role::cache, "2bgcd", 1},
    {Role::cache, "o2bgcd", .4}, {Role::cache, "obgcd", .6},   {Role::cache, "2bcgd", .5},
    {Role::cache, "b2gcd", .8},  {Role::cache, "b2gkd", .4},   {Role::cache, "o2bcgd", .3},
    {Role::cache, "kgd", 1},     {Role::cache, "bgd", .5},     {Role::cache, "gd", .6},
    {Role::cache, "ckd", .1},    {Role::cache, "cd", .4},      {Role::cache, "c1d", .4},
    {Role::cache, "ugd", .8},    {Role::cache, "bcd", .7},     {Role::cache, "co2gd", .3},
    {Role::pages, "psgd", 6},    {Role::pages, "2psgd", 3},    {Role::pages, "p2sgd", 3},
    {Role::pages, "pgsd", 2},    {Role::pages, "p2gsd", 1},    {Role::pages, "2pgsd", .6},
    {Role::pages, "psd", 2},     {Role::pages, "psn", .6},     {Role::pages, "po2gd", .4},
    {Role::pages, "pgdso", .7},  {Role::pages, "pgds", .7},    {Role::pages, "pgd", .8},
    {Role::pages, "2pn", .7},    {Role::pages, "2po", .3},     {Role::pages, "pn", .3},
    {Role::pages, "gd", .3},     {Role::table, "bp", 5},       {Role::table, "p", 2},
    {Role::table, "ob2p", .4},   {Role::table, "b2p", .3},     {Role::hidden, "boom", .5},
    {Role::hidden, "bmoo", .4},  {Role::hidden, "bqm", 8},     {Role::hidden, "tm", 4},
    {Role::hidden, "qbm", 1.5},  {Role::hidden, "bqd", 2},     {Role::hidden, "bqhd", 2},
    {Role::hidden, "bhqd", 2},   {Role::hidden, "bq3hd", .6},  {Role::hidden, "bqhP", .5},
    {Role::hidden, "thP", .2},   {Role::hidden, "t3hd", .4},   {Role::hidden, "qm", 1},
    {Role::hidden, "bm", .4},    {Role::hidden, "m", .2},      {Role::hidden, "tH", 0.5},
    {Role::hidden, "bqH", 0.5},  {Role::weight, "mm", 6},      {Role::weight, "nm", 3},
    {Role::weight, "mn", 1},     {Role::weight, "mo", 2.5},    {Role::weight, "om", 1},
    {Role::weight, "no", .7},    {Role::weight, "Qm", .7},     {Role::weight, "Qo", .5},
    {Role::weight, "m", .7},     {Role::weight, "n", .3},      {Role::weight, "mhd", .6},
    {Role::weight, "ngd", .3},   {Role::weight, "xm", .3},     {Role::weight, "Hm", 1},
    {Role::weight, "mH", 0.8},   {Role::weight, "Ho", 0.3},    {Role::weight, "dd", 0.3},
    {Role::weight, "H", 0.2},    {Role::state, "bhde", 4},     {Role::state, "bhed", 2},
    {Role::state, "hde", 1},     {Role::gate, "bhq", 2},       {Role::gate, "bqh", 2},
    {Role::gate, "bhqd", 2},     {Role::gate, "bqhd", 2},      {Role::gate, "th", 1},
    {Role::ids, "bq", 5},        {Role::ids, "t", 2},          {Role::ids, "q", 1},
    {Role::ids, "b", 0.7},       {Role::memory, "bgMd", 2},    {Role::memory, "bhMd", 2},
    {Role::memory, "gMd", 1},    {Role::memory, "hMd", 1},     {Role::memory, "Md", .5},
};

constexpr Scene kScenes[] = {
    {Form::elementwise, Role::scores, Role::mask, 10},
    {Form::elementwise, Role::scores, Role::bias, 2.5},
    {Form::elementwise, Role::q, Role::rotary, 2.5},
    {Form::elementwise, Role::k, Role::rotary, .8},
    {Form::elementwise, Role::hidden, Role::rotary, 2},
    {Form::elementwise, Role::mask, Role::mask, 2},
    {Form::elementwise, Role::q, Role::k, 1.5},
    {Form::elementwise, Role::scores, Role::v, .5},
    {Form::elementwise, Role::hidden, Role::hidden, 1.5},
    {Form::elementwise, Role::bias, Role::mask, .7},
    {Form::elementwise, Role::scores, Role::scores, .6},
    {Form::elementwise, Role::k, Role::k, .4},
    {Form::elementwise, Role::cache, Role::k, .4},
    {Form::elementwise, Role::gate, Role::k, .3},
    {Form::elementwise, Role::q, Role::q, .3},
    {Form::elementwise, Role::out, Role::out, .3},
    {Form::elementwise, Role::hidden, Role::mask, .6},
    {Form::elementwise, Role::q, Role::mask, .1},
    {Form::elementwise, Role::k, Role::mask, .2},
    {Form::elementwise, Role::v, Role::mask, .2},
    {Form::elementwise, Role::hidden, Role::bias, .3},
    {Form::matmul, Role::weight, Role::weight, .15},
    {Form::elementwise, Role::scores, Role::gate, .1},
    {Form::elementwise, Role::hidden, Role::weight, .3},
    {Form::elementwise, Role::out, Role::gate, .1},
    {Form::elementwise, Role::out, Role::mask, .4},
    {Form::elementwise, Role::table, Role::table, .3},
    {Form::elementwise, Role::ids, Role::ids, .3},
    {Form::copy, Role::pages, Role::pages, .5},
    {Form::expand, Role::out, Role::out, .2},
    {Form::matmul, Role::q, Role::k, 6},
    {Form::matmul, Role::scores, Role::v, 3},
    {Form::matmul, Role::hidden, Role::weight, 2.5},
    {Form::matmul, Role::q, Role::weight, .3},
    {Form::matmul, Role::k, Role::weight, .3},
    {Form::matmul, Role::q, Role::cache, .7},
    {Form::matmul, Role::scores, Role::cache, .4},
    {Form::matmul, Role::out, Role::weight, 1},
    {Form::matmul, Role::state, Role::q, .2},
    {Form::matmul, Role::k, Role::v, .3},
    {Form::concat, Role::cache, Role::k, 5},
    {Form::concat, Role::k, Role::k, 1.5},
    {Form::concat, Role::memory, Role::k, 1},
    {Form::concat, Role::mask, Role::mask, 2},
    {Form::concat, Role::hidden, Role::hidden, 2},
    {Form::concat, Role::cache, Role::cache, 1},
    {Form::concat, Role::q, Role::q, 1},
    {Form::concat, Role::v, Role::v, .5},
    {Form::concat, Role::q, Role::k, .4},
    {Form::concat, Role::table, Role::table, .3},
    {Form::concat, Role::cache, Role::v, 1},
    {Form::concat, Role::state, Role::state, .2},
    {Form::expand, Role::scores, Role::mask, 6},
    {Form::expand, Role::scores, Role::bias, 2},
    {Form::expand, Role::cache, Role::k, 1.5},
    {Form::expand, Role::k, Role::k, 1},
    {Form::expand, Role::mask, Role::mask, 2},
    {Form::expand, Role::hidden, Role::hidden, .7},
    {Form::expand, Role::ids, Role::ids, .8},
    {Form::expand, Role::q, Role::rotary, .4},
    {Form::expand, Role::state, Role::state, .2},
    {Form::expand, Role::bias, Role::bias, .7},
    {Form::expand, Role::q, Role::q, .4},
    {Form::expand, Role::pages, Role::k, .4},
    {Form::expand, Role::scores, Role::scores, .5},
    {Form::copy, Role::cache, Role::k, 6},
    {Form::copy, Role::pages, Role::k, 1.5},
    {Form::copy, Role::mask, Role::mask, 1.5},
    {Form::copy, Role::cache, Role::cache, 1},
    {Form::copy, Role::cache, Role::v, 1.5},
    {Form::copy, Role::state, Role::state, .3},
    {Form::copy, Role::ids, Role::ids, .5},
    {Form::copy, Role::k, Role::k, .5},
    {Form::copy, Role::table, Role::table, .6},
    {Form::copy, Role::hidden, Role::hidden, 1},
    {Form::view, Role::hidden, Role::q, 2},
    {Form::view, Role::q, Role::q, 1.5},
    {Form::view, Role::k, Role::k, 1.5},
    {Form::view, Role::hidden, Role::hidden, 1},
    {Form::view, Role::scores, Role::scores, 1},
    {Form::view, Role::mask, Role::mask, 1},
    {Form::view, Role::bias, Role::bias, 1},
    {Form::view, Role::cache, Role::cache, .5},
    {Form::view, Role::pages, Role::pages, .5},
    {Form::view, Role::out, Role::hidden, 1},
    {Form::view, Role::hidden, Role::k, 1.5},
    {Form::matmul, Role::k, Role::k, .7},
    {Form::matmul, Role::v, Role::v, .4},
    {Form::copy, Role::out, Role::out, .4},
    {Form::copy, Role::scores, Role::scores, .2},
    {Form::equal, Role::mask, Role::mask, 4},
    {Form::equal, Role::q, Role::k, 3},
    {Form::equal, Role::scores, Role::scores, 1},
    {Form::equal, Role::scores, Role::mask, 1},
    {Form::equal, Role::k, Role::v, 2},
    {Form::equal, Role::bias, Role::bias, 1.5},
    {Form::equal, Role::cache, Role::k, 1},
    {Form::equal, Role::cache, Role::cache, 1},
    {Form::equal, Role::pages, Role::pages, .6},
    {Form::equal, Role::out, Role::out, 1},
    {Form::equal, Role::hidden, Role::hidden, 1},
    {Form::equal, Role::q, Role::q, .8},
    {Form::equal, Role::weight, Role::weight, .5},
    {Form::equal, Role::q, Role::mask, .7},
    {Form::equal, Role::k, Role::k, 1},
    {Form::equal, Role::v, Role::v, .5},
    {Form::equal, Role::ids, Role::ids, .4},
    {Form::equal, Role::table, Role::table, .3},
    {Form::equal, Role::state, Role::state, .3},
    {Form::equal, Role::hidden, Role::weight, .4},
    {Form::equal, Role::q, Role::rotary, .4},
    {Form::equal, Role::q, Role::cache, .6},
    {Form::equal, Role::q, Role::v, .5},
    {Form::equal, Role::k, Role::mask, .5},
    {Form::expand, Role::table, Role::table, .4},
    {Form::index, Role::hidden, Role::mask, 2},
    {Form::index, Role::scores, Role::mask, .5},
    {Form::index, Role::k, Role::mask, .3},
    {Form::index, Role::ids, Role::mask, .3},
};

struct One {
  Role role;
  std::string_view axes;  ///< letters that this row is of; empty: all others
  double chance;
};
constexpr One kOnes[] = {
    {Role::mask, "b", .6},       {Role::mask, "h", .9},     {Role::mask, "q", .5},
    {Role::mask, "k", .03},      {Role::mask, "or", .7},    {Role::mask, "bq11", 0.1},
    {Role::bias, "b", .8},       {Role::bias, "h", .2},     {Role::bias, "q", .3},
    {Role::bias, "k", .05},      {Role::bias, "B", .05},    {Role::rotary, "bh", .9},
    {Role::rotary, "q", .1},     {Role::rotary, "dD", .02}, {Role::rotary, "1D", 0.4},
    {Role::rotary, "111D", 0.2}, {Role::scores, "b", .35},  {Role::scores, "h", .04},
    {Role::scores, "q", .25},    {Role::scores, "k", .02},  {Role::scores, "r", .2},
    {Role::q, "b", .4},          {Role::q, "h", .04},       {Role::q, "q", .25},
    {Role::q, "d", .005},        {Role::q, "bqH", 0.4},     {Role::q, "td", 0.5},
    {Role::q, "tgrd", 0.5},      {Role::q, "qm", 0.3},      {Role::k, "b", .4},
    {Role::k, "g", .12},         {Role::k, "k", .06},       {Role::k, "d", .005},
    {Role::k, "bmk", 0.5},       {Role::k, "bnk", 0.4},     {Role::k, "ud", 0.4},
    {Role::k, "kBd", 0.5},       {Role::v, "b", .4},        {Role::v, "g", .12},
    {Role::v, "k", .04},         {Role::v, "e", .005},      {Role::v, "kBe", 0.4},
    {Role::cache, "b", .5},      {Role::cache, "g", .1},    {Role::cache, "d", .005},
    {Role::cache, "bcm", 0.4},   {Role::cache, "bcn", 0.4}, {Role::cache, "bkm", 0.2},
    {Role::cache, "bkn", 0.2},   {Role::none, "b", .4},     {Role::none, "dm", .01},
    {Role::none, "", .08},
};

}  // namespace

std::span<const Layout> layouts_of(Role role) {
  const auto first = std::find_if(std::begin(kLayouts), std::end(kLayouts),
                                  [&](const Layout& row) { return row.role == role; });
  const auto last =
      std::find_if(first, std::end(kLayouts), [&](const Layout& row) { return row.role != role; });
  return {first, last};
}

std::span<const Scene> scenes() {
  return kScenes;
}

double log_beside(const Layout& layout, Role other, Form form) {
  static constexpr Role whole[] = {Role::hidden, Role::weight, Role::out, Role::mask, Role::bias};
  constexpr double seldom = -1.5, never = -4;
  if (layout.role == Role::hidden && layout.axes.size() == 4 &&
      std::find(std::begin(whole), std::end(whole), other) != std::end(whole))
    return seldom;
  // A table of positions is looked up or added, not multiplied.
  constexpr double often = 2;
  const bool table = layout.role == Role::weight && layout.axes.starts_with('x');
  if (!table || other == Role::weight) return 0;
  return form == Form::elementwise || form == Form::expand ? often : never;
}

double chance_of_one(Role role, Axis axis) {
  for (const One& row : kOnes) {
    if (row.role != role && row.role != Role::none) continue;
    if (row.axes.empty()) return row.chance;
    for (const char letter : row.axes)
      if (axis_of_letter(letter) == axis) return row.chance;
  }
  return .08;
}

}  // namespace attnfuzz::triage
