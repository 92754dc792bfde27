// Light through saturable media: what leaves, and what backward light is multiplied by, in one pass.
#include <atomic>
#include <cmath>
#include <cstdint>

#include "parallel.hpp"
#include "wide.hpp"

namespace {

enum { thin, homogeneous, inhomogeneous, integrated };
constexpr int64_t not_a_number = 1, negative = 2;

template <typename T>
struct Medium {
    T depth, inverse, residual, probe;  // inverse: 1 / saturation intensity; probe: an intensity in the same unit
    int64_t form, steps;
    bool broadened, amplitude, exact;
};

// ln T, and d ln T / d ln S.
template <typename T>
struct Passage {
    Vector<T> t, rise;
};

template <typename T>
inline Vector<T> smaller(Vector<T> a, Vector<T> b) {
    return a < b ? a : b;
}

// The logarithm within 0.03, of numbers above 0: exponent and fraction of a number are nearly that, as they stand. Of 0
// it is that of the smallest normal number.
template <typename T>
inline Vector<T> coarse_log(Vector<T> x) {
    const Vector<T> bits = __builtin_convertvector((Bits<T>)x - (Bits<T>)all(T(1)), Vector<T>);
    return (bits * (T(1) / (int64_t(1) << Wide<T>::fraction)) + T(0.043)) * T(0.6931472);
}

// The logarithm of numbers in [1e-30, 1e30]: of a fraction m around 1, 2 artanh((m - 1) / (m + 1)), as a series.
template <typename T>
inline Vector<T> log(Vector<T> x) {
    using W = Wide<T>;
    const Bits<T> middle = (Bits<T>)all(T(0.70710678));
    const Bits<T> power = ((Bits<T>)x - middle) >> W::fraction;
    const Vector<T> m = (Vector<T>)((Bits<T>)x - (power << W::fraction)), s = (m - 1) / (m + 1), square = s * s;
    Vector<T> sum{};
    for (int n = sizeof(T) == 4 ? 9 : 21; n >= 1; n -= 2) sum = sum * square + T(1) / n;
    return 2 * s * sum + __builtin_convertvector(power, Vector<T>) * T(0.69314718055994530942);
}

template <typename T>
inline Vector<T> root(Vector<T> x) {
    for (int i = 0; i < Wide<T>::lanes; ++i) x[i] = std::sqrt(x[i]);
    return x;
}

// The share h of the optical depth that is left, and -d h / d ln S.
template <typename T>
inline void absorption(Vector<T> total, bool broadened, Vector<T>& left, Vector<T>& fall) {
    if (broadened) {
        left = 1 / root<T>(1 + total);
        fall = T(0.5) * left * (1 - left * left);
    } else {
        left = 1 / (1 + total);
        fall = left * (1 - left);
    }
}

// F' and F'' of the implicit solution where light leaves, and F without a and t; `entering` is F' where it enters.
template <typename T, bool broadened>
inline Vector<T> balance(Vector<T> out, Vector<T> entering, Vector<T>& slope, Vector<T>& bend) {
    if (!broadened) {
        slope = 1 + out;
        bend = out;
        return slope - entering;
    }
    slope = root<T>(1 + out);
    bend = T(0.5) * out / slope;
    return 2 * (slope - entering) - 2 * log<T>((1 + slope) / (1 + entering));
}

// ln T from coarse fits above and below z = 0.
template <typename T, bool broadened>
inline Vector<T> guess(Vector<T> total, Vector<T> entering, T depth) {
    const T end = broadened ? T(0.33) : T(0.5671), linear = broadened ? T(0.7) : T(0.64);
    const T square = broadened ? T(0.35) : T(0.25);
    const Vector<T> gone = broadened ? 2 * (entering - 1 - coarse_log<T>(T(0.5) + T(0.5) * entering)) : total;
    const Vector<T> log_total = coarse_log<T>(total), z = log_total + (gone - depth);
    Vector<T> bright = T(0.5671) + z - coarse_log<T>(1 + T(0.638) * z);
    if (broadened) {
        const Vector<T> leaving = T(0.307) + T(0.5) * z + 1 / (1 + T(0.5) * z);
        bright = leaving * leaving - 1;
    }
    const Vector<T> dim = gone - depth - end / (1 + z * (square * z - linear));
    return z > 0 ? coarse_log<T>(bright) - log_total : dim;
}

// Halley's iteration on F(t): an error e becomes at most e^3 / 12, and the guess is within 0.3. The bounds are those of
// a convex F; an absorber does not amplify by rounding, either.
template <typename T, bool broadened>
inline Passage<T> solve(Vector<T> total, T depth) {
    const Vector<T> entering = broadened ? root<T>(1 + total) : 1 + total;
    const Vector<T> most = -depth / entering, least = all(depth > 0 ? -depth : T(0));
    const auto bounded = [&](Vector<T> t) { return t < least ? least : smaller<T>(t, most); };
    Vector<T> t = bounded(guess<T, broadened>(total, entering, depth)), slope, bend;
    for (int correction = 0; correction < (sizeof(T) == 4 ? 2 : 3); ++correction) {
        const Vector<T> miss = t + depth + balance<T, broadened>(total * decay<T>(-t), entering, slope, bend);
        t -= miss * slope / (slope * slope - T(0.5) * miss * bend);
    }
    t = bounded(t);
    const Vector<T> leaving = 1 + total * decay<T>(-t);
    return {t, entering / (broadened ? root<T>(leaving) : leaving) - 1};
}

// Runge and Kutta's fourth-order rule for ln T, and beside it for the logarithm of d ln S_out / d ln S.
template <typename T>
inline Passage<T> integrate(Vector<T> total, const Medium<T>& medium) {
    const T size = T(1) / medium.steps, weights[] = {1, 2, 2, 1}, ahead[] = {size / 2, size / 2, size, 0};
    Vector<T> t{}, log_slope{};
    for (int64_t step = 0; step < medium.steps; ++step) {
        Vector<T> at = t, sum{}, slope_sum{}, left, fall;
        for (int stage = 0; stage < 4; ++stage) {
            absorption<T>(total * decay<T>(-at), medium.broadened, left, fall);
            const Vector<T> rate = -(medium.depth * left + medium.residual);
            sum += weights[stage] * rate;
            slope_sum += weights[stage] * fall;
            at = t + ahead[stage] * rate;
        }
        t += size / 6 * sum;
        log_slope += size / 6 * medium.depth * slope_sum;
    }
    return {t, decay<T>(-log_slope) - 1};
}

template <typename T, int form>
inline Passage<T> pass(Vector<T> total, const Medium<T>& medium) {
    if (form == homogeneous || form == inhomogeneous) return solve<T, form == inhomogeneous>(total, medium.depth);
    if (form == integrated) return integrate<T>(total, medium);
    Vector<T> left, fall;
    absorption<T>(total, medium.broadened, left, fall);
    return {-(medium.depth * left + medium.residual), medium.depth * fall};
}

template <typename T, int form>
int64_t respond(const Medium<T>& medium, const T* x, const T* probes, T* output, T* factor, int64_t first,
                int64_t last) {
    const Vector<T> brightest = all(T(1e18));  // as `media.BRIGHTEST`: infinite light passes, too
    const T power = medium.amplitude ? T(0.5) : T(1);
    Bits<T> missing{}, dark{};
    for_vectors<T>(first, last, [&](int64_t i, int64_t count) {
        const Vector<T> in = load(x + i, count);
        missing |= in != in;
        dark |= in < 0;
        const Vector<T> own = smaller<T>((medium.amplitude ? in * in : in) * medium.inverse, brightest);
        const Vector<T> other = probes ? load(probes + i, count) : all(medium.probe);
        const Vector<T> total = own + smaller<T>(other * medium.inverse, brightest);
        const Passage<T> passed = pass<T, form>(total, medium);
        const Vector<T> exponent = passed.t * -power;
        const Vector<T> kept = exponent < Wide<T>::deepest ? decay<T>(exponent) : 0;
        store<T>(in - in == 0 ? in * kept : in, output + i, count);  // infinity times 0 would be NaN
        if (medium.exact) {
            const Vector<T> share = total > own ? own / total : all(T(1));
            store<T>(kept * (1 + share * passed.rise), factor + i, count);
        } else {
            store<T>(kept, factor + i, count);
        }
    });
    int64_t found = 0;
    for (int lane = 0; lane < Wide<T>::lanes; ++lane)
        found |= (missing[lane] ? not_a_number : 0) | (dark[lane] && !medium.amplitude ? negative : 0);
    return found;
}

// What was wrong with the light: 0, or bits of `not_a_number` and `negative`.
template <typename T>
int64_t respond_in_parallel(int64_t count, int64_t threads, const Medium<T>& medium, const T* x, const T* probes,
                            T* output, T* factor) {
    std::atomic<int64_t> found{0};
    const int64_t work = medium.form == thin ? 20 : medium.form == integrated ? 100 * medium.steps : 80;
    in_parallel(count, work, threads, [&](int64_t first, int64_t last) {
        const auto run = medium.form == thin            ? respond<T, thin>
                         : medium.form == homogeneous   ? respond<T, homogeneous>
                         : medium.form == inhomogeneous ? respond<T, inhomogeneous>
                                                        : respond<T, integrated>;
        found |= run(medium, x, probes, output, factor, first, last);
    });
    return found;
}

}  // namespace

#define ABSORBER(NAME, T)                                                                                              \
    extern "C" int64_t absorber_respond_##NAME(int64_t count, int64_t threads, int64_t form, int64_t steps,            \
                                               int64_t broadened, int64_t amplitude, int64_t exact, double depth,      \
                                               double inverse, double residual, double probe, const T* x,              \
                                               const T* probes, T* output, T* factor) {                                \
        const Medium<T> medium{T(depth), T(inverse),     T(residual),    T(probe),  form,                              \
                               steps,    broadened != 0, amplitude != 0, exact != 0};                                  \
        return respond_in_parallel<T>(count, threads, medium, x, probes, output, factor);                              \
    }

ABSORBER(float32, float)
ABSORBER(float64, double)
