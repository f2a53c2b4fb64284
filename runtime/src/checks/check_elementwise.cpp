// Checks of commands on strided tensors.
#include "checks/check.h"

namespace iptq {
namespace {

// The bytes that a view reaches, from its address on.
struct Reach {
  i64 from = 0, to = 0;

  // The view was checked: nothing overflows.
  Reach(const View& v, const i64* shape, i64 size) {
    for (int d = 0; d < kDims; ++d) {
      const i64 way = v.stride[d] * (shape[d] - 1) * size;
      (way < 0 ? from : to) += way;
    }
    to += size;
  }
};

}  // namespace

void check(Check& c, const Add& a) {
  if (!c.shape(a.shape)) return;
  c.sum(a.sum);
  c.view(a.a, a.shape, 0, false, "a");
  if (raw(a.b.data)) c.view(a.b, a.shape, 0, false, "b");
  c.view(a.out, a.shape, 0, true, "the result");
}

void check(Check& c, const Multiply& m) {
  if (!c.shape(m.shape)) return;
  c.requantization(m.result);
  c.view(m.a, m.shape, 0, false, "a");
  c.view(m.b, m.shape, 0, false, "b");
  c.view(m.out, m.shape, 0, true, "the result");
}

void check(Check& c, const Lookup& l) {
  if (!c.shape(l.shape)) return;
  c.within(l.first, INT32_MIN, INT32_MAX, "the first number");
  c.within(l.last, 0, INT32_MAX, "the last index");
  c.table<i32>(raw(l.table), Count(l.last) + 1, "the table");
  c.view(l.a, l.shape, 0, false, "a");
  c.view(l.out, l.shape, 0, true, "the result");
}

void check(Check& c, const Copy& m) {
  if (!c.shape(m.shape)) return;
  c.that(m.size == 1 || m.size == 2 || m.size == 4 || m.size == 8, "the size");
  c.view(m.a, m.shape, m.size, false, "a");
  c.view(m.out, m.shape, m.size, true, "the result");
  if (!c.ok()) return;
  const Reach a(m.a, m.shape, m.size), out(m.out, m.shape, m.size);
  c.apart(raw(m.a.data) + a.from, raw(m.out.data) + out.from, a.to - a.from,
          out.to - out.from);
}

void check(Check& c, const Gather& g) {
  c.size(g.runs, "runs");
  c.size(g.size, "the size");
  c.that(g.element == 1 || g.element == 2 || g.element == 4 || g.element == 8,
         "the size of an element");
  c.distance(g.last, "the last run");
  if (!c.ok()) return;
  c.that(g.size % g.element == 0, "the size");
  c.reads(raw(g.runs_from), g.runs, 8, "where runs begin");
  c.reads(raw(g.a), 0, Count(g.last) + g.size + -1, 1, "a");
  const Count all = Count(g.runs) * g.size;
  c.writes(raw(g.out), 0, all + -1, 1, "the result");
  if (!c.ok()) return;
  c.apart(raw(g.a), raw(g.out), g.last + g.size, all.value());
}

void check(Check& c, const Mean& m) {
  if (!c.shape(m.shape)) return;
  c.within(m.kept, 0, kDims - 1, "the number of dimensions");
  c.flag(m.largest, "largest");
  c.requantization(m.result);
  c.view(m.a, m.shape, 0, false, "a");
  c.view(m.out, m.shape, 0, true, "the result");
}

}  // namespace iptq
