"""A plan as text. Pure."""

from mvm_ci.capacity import telling
from mvm_ci.capacity.plan import Plan


def text(plan: Plan) -> str:
    """All of it, for a terminal."""
    workers, rate = plan.wanted
    lines = [
        (
            f"option {plan.option} for {plan.wish.workers} workers with {plan.wish.jobs_per_s:,.4g} "
            f"{plan.wish.profile} jobs/s and {plan.wish.objective}"
        ),
        f"(so that {workers} workers with {rate:,.4g} jobs/s would meet it, too)",
        "",
        "why:",
        *(f"  {why}" for why in plan.why),
        "",
        *_curves(plan),
        "",
        "the others:",
    ]
    said = {one.text for one in plan.said}
    for option, texts in plan.others.items():
        lines += [f"  {option}: {one}" for one in texts if one not in said] or [f"  {option}: see above"]
    lines += ["", "sizes, without what guests need:"]
    lines += [f"  {one.name}: {one} ({one.origin}: {one.source})" for one in plan.sizes]
    lines += ["", "commands:"]
    for where, command in plan.way.commands:
        lines += [f"  {where}:", f"    {command}"]
    lines += ["", f"files: {', '.join(plan.way.files)}"]
    lines += ["", "move on when:", *(f"  {one}" for one in plan.move_on)]
    if plan.notes:
        lines += ["", "notes:", *(f"  {one}" for one in plan.notes)]
    if plan.missing is not None:
        lines += ["", f"{plan.missing.what}; this would:", f"  {plan.missing.command}"]
    return "\n".join(lines)


def _curves(plan: Plan) -> list[str]:
    title = f"curves of option {plan.option} with {plan.wish.profile} jobs:"
    if not plan.curves:
        return [f"{title} none was measured"]
    return [title, *(f"  {line}" for one in plan.curves for line in telling.curve(one, plan.wish.objective))]
