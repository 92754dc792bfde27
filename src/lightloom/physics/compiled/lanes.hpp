// Eight float64 numbers at a time, and the trigonometry that meshes need of them.
//
// GCC's vector types compile to whatever the processor has. The compiler turns no loop over std::sin into
// vectors without -ffast-math, and torch's sine wakes a team of threads even for a few thousand phases;
// hence these, to one unit in the last place.
#pragma once

#include <cmath>
#include <cstdint>

constexpr int lanes = 8;
typedef double Vector __attribute__((vector_size(64)));
typedef int64_t Bits __attribute__((vector_size(64)));

constexpr double pi = 3.14159265358979323846;

inline Vector magnitude(Vector x) { return x < 0.0 ? -x : x; }

inline Vector root(Vector x) {
    Vector y;
    for (int i = 0; i < lanes; ++i) y[i] = std::sqrt(x[i]);
    return y;
}

struct Phasor {
    Vector re, im;  // cosine and sine
};

// Where `phasor` holds: beyond, its reduction loses digits.
constexpr double reach = 1e6;

// e^{i x} for |x| < reach. Cody and Waite's reduction to |r| <= pi/4, then Taylor's series to r^17.
inline Phasor phasor(Vector x) {
    constexpr double whole = 6755399441055744.0;  // 1.5 * 2^52: adding it leaves round(.) in the last bits
    constexpr double high = 1.5707963267341256, middle = 6.077100506303966e-11, low = 2.0222662487959506e-21;
    const Vector shifted = x * (2 / pi) + whole, turns = shifted - whole;
    const Vector r = ((x - turns * high) - turns * middle) - turns * low, z = r * r;
    Vector s = Vector{} + 1.0, c = Vector{} + 1.0;  // Horner, from the last term
    for (int n = 16; n >= 2; n -= 2) {
        s = 1.0 - z * s * (1.0 / (n * (n + 1)));
        c = 1.0 - z * c * (1.0 / (n * (n - 1)));
    }
    s *= r;
    const Bits quarter = (Bits)shifted;
    const Bits odd = (quarter & 1) != 0;
    const Vector sine = odd ? c : s, cosine = odd ? s : c;
    return {((quarter + 1) & 2) != 0 ? -cosine : cosine, (quarter & 2) != 0 ? -sine : sine};
}

// The angle of (x, y) in [0, 2 pi]. Folded to the first octant, turned by the nearest of 0, pi/8, pi/4, then
// Taylor.
inline Vector angle(Phasor of) {
    constexpr double eighth = 0.19891236737965800, eighths3 = 0.66817863791929892;  // tan pi/16, tan 3 pi/16
    constexpr double cos8 = 0.92387953251128674, sin8 = 0.38268343236508977, diagonal = 0.70710678118654752;
    const Vector x = magnitude(of.re), y = magnitude(of.im), zero{};
    const Bits steep = y > x;
    const Vector far = steep ? y : x, near = steep ? x : y;
    const Bits second = near > far * eighth, third = near > far * eighths3;
    const Vector c = third ? zero + diagonal : (second ? zero + cos8 : zero + 1.0);
    const Vector s = third ? zero + diagonal : (second ? zero + sin8 : zero);
    const Vector base = third ? zero + pi / 4 : (second ? zero + pi / 8 : zero);
    const Vector t = (near * c - far * s) / (far * c + near * s), z = t * t;
    Vector sum = zero;
    for (int n = 23; n >= 1; n -= 2) sum = 1.0 / n - z * sum;
    const Vector octant = base + t * sum;
    const Vector quadrant = steep ? pi / 2 - octant : octant;
    const Vector half = of.re < 0.0 ? pi - quadrant : quadrant;
    return of.im < 0.0 ? 2 * pi - half : half;
}
