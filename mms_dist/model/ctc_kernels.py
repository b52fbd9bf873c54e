"""CTC's recursions and gradient as Triton kernels. Import this file only if Triton can be imported.

A transcript of L labels has 2 L + 1 states: a blank, then every label followed by a blank. They are kept as two
vectors, blanks and labels, so that a step of the recursion (Graves et al. 2006, equation 6) needs only one shift by one
place:

    blank'[l] = log(exp blank[l] + exp label[l-1])                                              + log p(blank)
    label'[l] = log(exp label[l] + exp blank[l] + exp label[l-1] where label l-1 differs) + log p(label l)

Before the first frame, blank[0] is 0 and everything else is -inf. The backward variables come from the same recursion
over the frames and labels in reverse order.

This relies on the following, checked in Triton 3.6 and 3.9: `tl.gather` moves values between the threads of a program
and inserts the barriers it needs; masked loads and stores touch nothing outside their masks; a parameter named in
`do_not_specialize` is an ordinary run-time value, so a new number of utterances, frames, labels or tokens compiles
nothing. No program reads what another program of the same launch writes, and there are no atomic additions. So an
utterance's results depend on that utterance alone, and are deterministic bit for bit.

Legend: B utterances, T frames, V vocabulary, L labels, P = L + 1 places of a state vector.
"""

import triton
import triton.language as tl

_SIZES = ["T", "V", "L"]
_VIEWS = ["labels_BL", "frames_B", "lengths_B"]  # may start anywhere in a larger buffer


@triton.jit
def _log_add(a, b, c):  # type: ignore[no-untyped-def]
    """log(exp a + exp b + exp c); -inf where all three are."""
    largest = tl.maximum(tl.maximum(a, b), c)
    largest = tl.where(largest == float("-inf"), 0.0, largest)
    return largest + tl.log(tl.exp(a - largest) + tl.exp(b - largest) + tl.exp(c - largest))


@triton.jit(do_not_specialize=_SIZES, do_not_specialize_on_alignment=_VIEWS)
def recursion(  # type: ignore[no-untyped-def]
    log_probs_BTV, labels_BL, frames_B, lengths_B, states_DBTKP, log_likelihood_B, T, V, L, BLOCK: tl.constexpr
):
    """Run the recursion over one utterance in one direction: program (b, 0) forward, program (b, 1) backward.

    Args:
        states_DBTKP: output. D: forward, backward; K: blanks, labels. Forward values include the frame's own
            probability and backward values do not, so that their sum covers all paths through a state.
        log_likelihood_B: output. -inf where the labels do not fit the frames; NaN for invalid input: more frames than
            T, more labels than L, a label outside the vocabulary.
        BLOCK: a power of two above the smaller of L and T.
    """
    b = tl.program_id(0).to(tl.int64)
    is_forward = tl.program_id(1) == 0
    minus_inf = float("-inf")
    frames = tl.load(frames_B + b).to(tl.int32)
    length = tl.load(lengths_B + b).to(tl.int32)
    refused = (frames > T) | (length > L)
    too_long = length > frames
    skipped = refused | too_long
    frames = tl.where(skipped, 0, frames)
    length = tl.where(skipped, 0, length)

    place = tl.arange(0, BLOCK)
    is_label = place < length
    is_blank = place <= length
    own = tl.where(is_forward, place, length - 1 - place)  # the label at each place, in this direction
    own_blank = tl.where(is_forward, place, length - place)
    before = tl.where(is_forward, own - 1, own + 1)
    label = tl.load(labels_BL + b * L + own, mask=is_label, other=0)
    label_before = tl.load(labels_BL + b * L + before, mask=is_label & (place > 0), other=-1)
    may_skip = is_label & (place > 0) & (label != label_before)
    is_known = (label >= 0) & (label < V)
    refused = refused | (tl.max((is_label & ~is_known).to(tl.int32), axis=0) > 0)
    is_read = is_label & is_known

    dtype: tl.constexpr = log_probs_BTV.dtype.element_ty
    blanks = tl.where(place == 0, 0.0, minus_inf).to(dtype)
    labels = tl.full([BLOCK], float("-inf"), dtype)
    first = tl.where(is_forward | (frames == 0), 0, frames - 1)
    towards = tl.where(is_forward, 1, -1)
    row = log_probs_BTV + (b * T + first) * V
    at_KP = states_DBTKP + ((tl.program_id(1) * tl.num_programs(0) + b) * T + first) * 2 * (L + 1)
    # Load a frame's probabilities one step ahead: a step takes less time than a memory access.
    blank_next = tl.load(row, mask=frames > 0, other=0.0)
    label_next = tl.load(row + label, mask=is_read, other=minus_inf)
    for step in range(frames):
        blank_now, label_now = blank_next, label_next
        row += tl.where(step + 1 < frames, towards, 0) * V  # reload the last frame rather than read past the end
        blank_next = tl.load(row)
        label_next = tl.load(row + label, mask=is_read, other=minus_inf)
        shifted = tl.gather(labels, tl.maximum(place - 1, 0), axis=0)
        shifted = tl.where(place == 0, minus_inf, shifted)
        to_blanks = _log_add(blanks, shifted, minus_inf)
        to_labels = _log_add(labels, blanks, tl.where(may_skip, shifted, minus_inf))
        blanks = to_blanks + blank_now
        labels = to_labels + label_now
        tl.store(at_KP + own_blank, tl.where(is_forward, blanks, to_blanks), mask=is_blank)
        tl.store(at_KP + (L + 1) + own, tl.where(is_forward, labels, to_labels), mask=is_label)
        at_KP += towards * 2 * (L + 1)

    last_blank = tl.sum(tl.where(place == length, blanks, 0.0), axis=0)
    last_label = tl.sum(tl.where(place == length - 1, labels, 0.0), axis=0)
    last_label = tl.where(length > 0, last_label, minus_inf)
    result = _log_add(last_blank, last_label, minus_inf)
    result = tl.where(too_long, minus_inf, result)
    result = tl.where(refused, float("nan"), result)
    tl.store(log_likelihood_B + b, result, mask=is_forward)


@triton.jit(do_not_specialize=_SIZES, do_not_specialize_on_alignment=_VIEWS)
def gradient(  # type: ignore[no-untyped-def]
    log_probs_BTV,
    labels_BL,
    frames_B,
    lengths_B,
    states_DBTKP,
    log_likelihood_B,
    weight_B,
    grad_BTV,
    T,
    V,
    L,
    FRAMES: tl.constexpr,
    TOKENS: tl.constexpr,
):
    """Write weight * d loss / d logits = weight * (softmax - posterior) for a tile of frames and tokens.

    A token's posterior is the share of a frame's states that carry it. It is divided by the sum over all states, which
    is 1 up to rounding, to cancel the rounding error that all states of a long path share.
    The gradient is 0 in frames past an utterance's end, and in all frames if the labels do not fit.
    """
    b = tl.program_id(0).to(tl.int64)
    t = tl.program_id(1) * FRAMES + tl.arange(0, FRAMES)
    v = tl.program_id(2) * TOKENS + tl.arange(0, TOKENS)
    log_likelihood = tl.load(log_likelihood_B + b)
    weight = tl.load(weight_B + b)
    fits = log_likelihood != float("-inf")
    is_number = log_likelihood == log_likelihood
    frames = tl.where(fits, tl.load(frames_B + b).to(tl.int32), 0)
    length = tl.where(fits & is_number, tl.load(lengths_B + b).to(tl.int32), 0)
    is_live = (t < frames) & (t < T)

    dtype: tl.constexpr = log_probs_BTV.dtype.element_ty
    forward = states_DBTKP + (b * T + t) * 2 * (L + 1)
    backward = forward + tl.num_programs(0).to(tl.int64) * T * 2 * (L + 1)
    sum_T = tl.zeros([FRAMES], dtype)
    for place in range(length + 1):
        path_T = tl.load(forward + place, mask=is_live, other=0.0) + tl.load(backward + place, mask=is_live, other=0.0)
        sum_T += tl.exp(path_T - log_likelihood)
    posterior_TV = tl.where(v[None, :] == 0, sum_T[:, None], 0.0)
    for place in range(length):
        at = L + 1 + place
        path_T = tl.load(forward + at, mask=is_live, other=0.0) + tl.load(backward + at, mask=is_live, other=0.0)
        share_T = tl.exp(path_T - log_likelihood)
        sum_T += share_T
        label = tl.load(labels_BL + b * L + place)
        posterior_TV += tl.where(v[None, :] == label, share_T[:, None], 0.0)

    cell = (b * T + t[:, None]) * V + v[None, :]
    inside = (t[:, None] < T) & (v[None, :] < V)
    softmax_TV = tl.exp(tl.load(log_probs_BTV + cell, mask=inside, other=0.0))
    grad_TV = (softmax_TV - posterior_TV / sum_T[:, None]) * weight
    tl.store(grad_BTV + cell, tl.where(is_live[:, None], grad_TV, 0.0), mask=inside)
