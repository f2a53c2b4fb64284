// The inner loops of register tiles for 64-bit ARM: 16 columns of 2, 4 or 6 rows, whose
// sums are the registers v8 to v31. Assembly, since compilers spill sums around intrinsics
// and load registers one by one.
//
// Rows come in units of 8 bytes, those of two rows side by side (form_neon.inl). v0 to v2
// are a unit of 6 rows, v4 to v7 are weights:
//
//   words     smlal by lane: 16 columns of 1 depth; panels' pairs are taken apart (ld2)
//   dotprod   sdot by lane: 16 columns of 4 depths
//   i8mm      usmmla: 2 rows by 2 columns of 8 depths, so that v8 holds the sums
//             [row 0, column 0 | row 0, column 1 | row 1, column 0 | row 1, column 1]
#pragma once

#include <arm_neon.h>

#include "commands.h"

namespace iptq {
namespace {

// What a strip is made of. Distances are bytes.
struct Strip {
  const char *a, *b;
  i64 units;         // of 8 bytes of a row
  i64 half;          // whether half a unit follows
  i64 again;         // words as two bytes: the lower ones follow, times the same weights
  i64 step;          // from group to group of `b`
  const i32* start;
  i64 start_step;    // from row to row; 0: all rows have the same
  i32* out;
  i64 out_step;
};

#define IPTQ_LOAD4(first, last, from, by) \
  "ld1 {v" #first ".16b-v" #last ".16b}, [" from "], " by "\n"

// Four units a turn, after those that are left. Unit and Half are text; so are Start, Again
// and Store.
#define IPTQ_STRIP(Name, Pairs, Start, Unit, Half, Again, Store)                        \
  template <>                                                                           \
  __attribute__((always_inline)) inline void Name<Pairs>(const Strip& s) {              \
    const char *a = s.a, *b;                                                            \
    const char* start = reinterpret_cast<const char*>(s.start);                         \
    i32* out = s.out;                                                                   \
    i64 turns, again = s.again;                                                         \
    asm volatile(Start                                                                  \
                 "0: mov %[b], %[weights]\n"                                            \
                 "cbz %[rest], 2f\n"                                                    \
                 "mov %[turns], %[rest]\n"                                              \
                 "1: " Unit                                                             \
                 "subs %[turns], %[turns], #1\n"                                        \
                 "b.ne 1b\n"                                                            \
                 "2: cbz %[fours], 4f\n"                                                \
                 "mov %[turns], %[fours]\n"                                             \
                 "3: " Unit Unit Unit Unit                                              \
                 "subs %[turns], %[turns], #1\n"                                        \
                 "b.ne 3b\n"                                                            \
                 "4: cbz %[half], 5f\n" Half                                            \
                 "5: cbz %[again], 6f\n" Again                                          \
                 "mov %[again], #0\n"                                                   \
                 "b 0b\n"                                                               \
                 "6:\n" Store                                                           \
                 : [a] "+&r"(a), [b] "=&r"(b), [start] "+&r"(start),                     \
                   [out] "+&r"(out), [turns] "=&r"(turns), [again] "+&r"(again)         \
                 : [next] "r"(start + 32), [weights] "r"(s.b),                          \
                   [fours] "r"(s.units >> 2), [rest] "r"(s.units & 3),                  \
                   [half] "r"(s.half), [step] "r"(s.step),                              \
                   [second] "r"(s.step - 32), [pair] "r"(2 * s.step - 64),              \
                   [start_step] "r"(s.start_step), [out_step] "r"(s.out_step)           \
                 : "memory", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", \
                   "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", \
                   "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27",       \
                   "v28", "v29", "v30", "v31");                                         \
  }

// Sums of rows, as they lie in memory.
#define IPTQ_FROM(first, last) IPTQ_LOAD4(first, last, "%[start]", "%[start_step]")
#define IPTQ_TO(first, last) \
  "st1 {v" #first ".16b-v" #last ".16b}, [%[out]], %[out_step]\n"
#define IPTQ_ROWS_1(each) each(8, 11) each(12, 15)
#define IPTQ_ROWS_2(each) IPTQ_ROWS_1(each) each(16, 19) each(20, 23)
#define IPTQ_ROWS_3(each) IPTQ_ROWS_2(each) each(24, 27) each(28, 31)

// A unit of the rows.
#define IPTQ_A_1 "ld1 {v0.16b}, [%[a]], #16\n"
#define IPTQ_A_2 "ld1 {v0.16b, v1.16b}, [%[a]], #32\n"
#define IPTQ_A_3 "ld1 {v0.16b-v2.16b}, [%[a]], #48\n"

// Two depths of a row: words x and y of register a, times v4 and v6, and v5 and v7.
#define IPTQ_SMLAL(s0, s1, s2, s3, low, high, a, x)                     \
  "smlal v" #s0 ".4s, v" #low ".4h, v" #a ".h[" #x "]\n"                \
  "smlal2 v" #s1 ".4s, v" #low ".8h, v" #a ".h[" #x "]\n"               \
  "smlal v" #s2 ".4s, v" #high ".4h, v" #a ".h[" #x "]\n"               \
  "smlal2 v" #s3 ".4s, v" #high ".8h, v" #a ".h[" #x "]\n"
#define IPTQ_WORDS(s0, s1, s2, s3, a, x, y)    \
  IPTQ_SMLAL(s0, s1, s2, s3, 4, 6, a, x)       \
  IPTQ_SMLAL(s0, s1, s2, s3, 5, 7, a, y)
#define IPTQ_WORDS_1(x, y, z, w)       \
  IPTQ_WORDS(8, 9, 10, 11, 0, x, y)    \
  IPTQ_WORDS(12, 13, 14, 15, 0, z, w)
#define IPTQ_WORDS_2(x, y, z, w)       \
  IPTQ_WORDS_1(x, y, z, w)             \
  IPTQ_WORDS(16, 17, 18, 19, 1, x, y)  \
  IPTQ_WORDS(20, 21, 22, 23, 1, z, w)
#define IPTQ_WORDS_3(x, y, z, w)       \
  IPTQ_WORDS_2(x, y, z, w)             \
  IPTQ_WORDS(24, 25, 26, 27, 2, x, y)  \
  IPTQ_WORDS(28, 29, 30, 31, 2, z, w)
#define IPTQ_PAIRS_OF_DEPTHS              \
  "ld2 {v4.8h, v5.8h}, [%[b]], #32\n"     \
  "ld2 {v6.8h, v7.8h}, [%[b]], %[second]\n"
#define IPTQ_WORDS_HALF(P) IPTQ_A_##P IPTQ_PAIRS_OF_DEPTHS IPTQ_WORDS_##P(0, 1, 4, 5)
#define IPTQ_WORDS_UNIT(P) IPTQ_WORDS_HALF(P) IPTQ_PAIRS_OF_DEPTHS IPTQ_WORDS_##P(2, 3, 6, 7)

template <int Pairs>
void word_strip(const Strip& s);

template <int Pairs>
void byte_strip(const Strip& s);

// Sums of upper bytes become those of words. First sums are of shifted bytes: the lower
// bytes want theirs, too.
#define IPTQ_SHIFT(s) "shl v" #s ".4s, v" #s ".4s, #8\n"
#define IPTQ_SHIFT_4(a, b, c, d) IPTQ_SHIFT(a) IPTQ_SHIFT(b) IPTQ_SHIFT(c) IPTQ_SHIFT(d)
#define IPTQ_SHIFT_1 IPTQ_SHIFT_4(8, 9, 10, 11) IPTQ_SHIFT_4(12, 13, 14, 15)
#define IPTQ_SHIFT_2 IPTQ_SHIFT_1 IPTQ_SHIFT_4(16, 17, 18, 19) IPTQ_SHIFT_4(20, 21, 22, 23)
#define IPTQ_SHIFT_3 IPTQ_SHIFT_2 IPTQ_SHIFT_4(24, 25, 26, 27) IPTQ_SHIFT_4(28, 29, 30, 31)

#define IPTQ_WORD_STRIP(P)                                                           \
  IPTQ_STRIP(word_strip, P, IPTQ_ROWS_##P(IPTQ_FROM), IPTQ_WORDS_UNIT(P),            \
             IPTQ_WORDS_HALF(P), "", IPTQ_ROWS_##P(IPTQ_TO))
IPTQ_WORD_STRIP(1)
IPTQ_WORD_STRIP(2)
IPTQ_WORD_STRIP(3)

#ifdef IPTQ_DOTPROD

// Four depths of a row: bytes x of register a.
#define IPTQ_SDOT(s0, s1, s2, s3, a, x)                  \
  "sdot v" #s0 ".4s, v4.16b, v" #a ".4b[" #x "]\n"       \
  "sdot v" #s1 ".4s, v5.16b, v" #a ".4b[" #x "]\n"       \
  "sdot v" #s2 ".4s, v6.16b, v" #a ".4b[" #x "]\n"       \
  "sdot v" #s3 ".4s, v7.16b, v" #a ".4b[" #x "]\n"
#define IPTQ_DOT_1(x, y) IPTQ_SDOT(8, 9, 10, 11, 0, x) IPTQ_SDOT(12, 13, 14, 15, 0, y)
#define IPTQ_DOT_2(x, y)            \
  IPTQ_DOT_1(x, y)                  \
  IPTQ_SDOT(16, 17, 18, 19, 1, x)   \
  IPTQ_SDOT(20, 21, 22, 23, 1, y)
#define IPTQ_DOT_3(x, y)            \
  IPTQ_DOT_2(x, y)                  \
  IPTQ_SDOT(24, 25, 26, 27, 2, x)   \
  IPTQ_SDOT(28, 29, 30, 31, 2, y)
#define IPTQ_B IPTQ_LOAD4(4, 7, "%[b]", "%[step]")
#define IPTQ_DOT_HALF(P) IPTQ_A_##P IPTQ_B IPTQ_DOT_##P(0, 2)
#define IPTQ_DOT_UNIT(P) IPTQ_DOT_HALF(P) IPTQ_B IPTQ_DOT_##P(1, 3)

#define IPTQ_ADD(s, x) "add v" #s ".4s, v" #s ".4s, v" #x ".4s\n"
#define IPTQ_ADD_4(a, b, c, d) IPTQ_ADD(a, 4) IPTQ_ADD(b, 5) IPTQ_ADD(c, 6) IPTQ_ADD(d, 7)
#define IPTQ_ADD_1 IPTQ_ADD_4(8, 9, 10, 11) IPTQ_ADD_4(12, 13, 14, 15)
#define IPTQ_ADD_2 IPTQ_ADD_1 IPTQ_ADD_4(16, 17, 18, 19) IPTQ_ADD_4(20, 21, 22, 23)
#define IPTQ_ADD_3 IPTQ_ADD_2 IPTQ_ADD_4(24, 25, 26, 27) IPTQ_ADD_4(28, 29, 30, 31)
#define IPTQ_FIRST_SUMS "ld1 {v4.16b-v7.16b}, [%[start]]\n"
#define IPTQ_AGAIN_1 IPTQ_SHIFT_1 IPTQ_FIRST_SUMS IPTQ_ADD_1
#define IPTQ_AGAIN_2 IPTQ_SHIFT_2 IPTQ_FIRST_SUMS IPTQ_ADD_2
#define IPTQ_AGAIN_3 IPTQ_SHIFT_3 IPTQ_FIRST_SUMS IPTQ_ADD_3

#define IPTQ_BYTE_STRIP(P)                                                           \
  IPTQ_STRIP(byte_strip, P, IPTQ_ROWS_##P(IPTQ_FROM), IPTQ_DOT_UNIT(P),              \
             IPTQ_DOT_HALF(P), IPTQ_AGAIN_##P, IPTQ_ROWS_##P(IPTQ_TO))

#elif defined(IPTQ_I8MM)

// Two columns, v`b`, of all pairs of rows.
#define IPTQ_USMMLA(s, a, b) "usmmla v" #s ".4s, v" #a ".16b, v" #b ".16b\n"
#define IPTQ_MM_1(b, s0, s1, s2) IPTQ_USMMLA(s0, 0, b)
#define IPTQ_MM_2(b, s0, s1, s2) IPTQ_USMMLA(s0, 0, b) IPTQ_USMMLA(s1, 1, b)
#define IPTQ_MM_3(b, s0, s1, s2) IPTQ_MM_2(b, s0, s1, s2) IPTQ_USMMLA(s2, 2, b)
#define IPTQ_MM_UNIT(P)                                                            \
  IPTQ_A_##P IPTQ_LOAD4(4, 7, "%[b]", "#64")                                       \
  IPTQ_MM_##P(4, 8, 16, 24) IPTQ_MM_##P(5, 9, 17, 25)                              \
  IPTQ_MM_##P(6, 10, 18, 26) IPTQ_MM_##P(7, 11, 19, 27)                            \
  IPTQ_LOAD4(4, 7, "%[b]", "%[pair]")                                              \
  IPTQ_MM_##P(4, 12, 20, 28) IPTQ_MM_##P(5, 13, 21, 29)                            \
  IPTQ_MM_##P(6, 14, 22, 30) IPTQ_MM_##P(7, 15, 23, 31)

// Sums of a pair of rows, to rows and from them.
#define IPTQ_JOIN(zip, to, x, y) #zip " v" #to ".2d, v" #x ".2d, v" #y ".2d\n"
#define IPTQ_TO_ROWS(s0, s1, s2, s3, s4, s5, s6, s7)                              \
  IPTQ_JOIN(zip1, 0, s0, s1) IPTQ_JOIN(zip1, 1, s2, s3)                           \
  IPTQ_JOIN(zip1, 2, s4, s5) IPTQ_JOIN(zip1, 3, s6, s7)                           \
  IPTQ_JOIN(zip2, 4, s0, s1) IPTQ_JOIN(zip2, 5, s2, s3)                           \
  IPTQ_JOIN(zip2, 6, s4, s5) IPTQ_JOIN(zip2, 7, s6, s7)                           \
  IPTQ_TO(0, 3) IPTQ_TO(4, 7)
#define IPTQ_FROM_ROWS(s0, s1, s2, s3, s4, s5, s6, s7)                            \
  IPTQ_FROM(0, 3) IPTQ_FROM(4, 7)                                                 \
  IPTQ_JOIN(zip1, s0, 0, 4) IPTQ_JOIN(zip2, s1, 0, 4)                             \
  IPTQ_JOIN(zip1, s2, 1, 5) IPTQ_JOIN(zip2, s3, 1, 5)                             \
  IPTQ_JOIN(zip1, s4, 2, 6) IPTQ_JOIN(zip2, s5, 2, 6)                             \
  IPTQ_JOIN(zip1, s6, 3, 7) IPTQ_JOIN(zip2, s7, 3, 7)

// The same sums for both rows of a pair, two columns in each register.
#define IPTQ_REPEAT(s0, s1, s2, s3, from) \
  "ld4r {v" #s0 ".2d, v" #s1 ".2d, v" #s2 ".2d, v" #s3 ".2d}, [" from "]\n"
#define IPTQ_FROM_ONE(s0, s1, s2, s3, s4, s5, s6, s7) \
  IPTQ_REPEAT(s0, s1, s2, s3, "%[start]") IPTQ_REPEAT(s4, s5, s6, s7, "%[next]")

#define IPTQ_PAIRS_1(each) each(8, 9, 10, 11, 12, 13, 14, 15)
#define IPTQ_PAIRS_2(each) IPTQ_PAIRS_1(each) each(16, 17, 18, 19, 20, 21, 22, 23)
#define IPTQ_PAIRS_3(each) IPTQ_PAIRS_2(each) each(24, 25, 26, 27, 28, 29, 30, 31)
#define IPTQ_FROM_PAIRS(P)                                           \
  "cbnz %[start_step], 7f\n" IPTQ_PAIRS_##P(IPTQ_FROM_ONE) "b 0f\n"  \
  "7: " IPTQ_PAIRS_##P(IPTQ_FROM_ROWS)

// Panels have no half units here.
#define IPTQ_BYTE_STRIP(P)                                                        \
  IPTQ_STRIP(byte_strip, P, IPTQ_FROM_PAIRS(P), IPTQ_MM_UNIT(P), "", IPTQ_SHIFT_##P, \
             IPTQ_PAIRS_##P(IPTQ_TO_ROWS))

#endif

#if defined(IPTQ_DOTPROD) || defined(IPTQ_I8MM)
IPTQ_BYTE_STRIP(1)
IPTQ_BYTE_STRIP(2)
IPTQ_BYTE_STRIP(3)
#endif

}  // namespace
}  // namespace iptq
