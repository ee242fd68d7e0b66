//! What the target may use where it is deployed.

use crate::scenario::file::{AmountsFile, SizingFile, TargetsFile};
use crate::scenario::sizing::{Amounts, Sizing, Targets, cpus, memory, share};
use crate::scenario::written::At;

use super::Checker;

impl Checker<'_> {
    pub(super) fn sizing(&mut self, written: At<SizingFile>) -> Sizing {
        let At { value: SizingFile { request, limit, replicas, max_replicas, target }, span } =
            written;
        if request.is_none() && limit.is_none() {
            let label = "expected `request = { cpu = \"300m\", memory = \"384Mi\" }`, or `limit`";
            self.problem(&span, "no request and no limit is chosen", label);
        }
        for count in [&replicas, &max_replicas].into_iter().flatten().filter(|n| n.value == 0) {
            self.problem(&count.span, "there must be a replica", "expected 1 or more");
        }
        let is_requested = |of: fn(&AmountsFile) -> bool| request.as_ref().is_some_and(of);
        let (cpu, memory) =
            (is_requested(|amounts| amounts.cpu.is_some()), is_requested(|a| a.memory.is_some()));
        let targets = self.targets(target.as_ref());
        let request = self.amounts(request.as_ref());
        let limit = self.amounts(limit.as_ref());
        let target = target.unwrap_or_default();
        for (key, target, is_requested) in
            [("cpu", &target.cpu, cpu), ("memory", &target.memory, memory)]
        {
            if let (Some(target), false) = (target, is_requested) {
                let message =
                    format!("a target is a share of the request, and no `{key}` is requested");
                self.problem(&target.span, message, format!("expected `{key}` in `request`"));
            }
        }
        if request.cpus.zip(limit.cpus).is_some_and(|(request, limit)| request > limit)
            || request.memory_bytes.zip(limit.memory_bytes).is_some_and(|(r, l)| r > l)
        {
            let label = "expected a `request` of at most the `limit`";
            self.problem(&span, "more is requested than the limit allows", label);
        }
        let (replicas, most) = (replicas.map(|count| count.value), max_replicas.map(|n| n.value));
        Sizing {
            request,
            limit,
            replicas: replicas.unwrap_or(1),
            max_replicas: most,
            target: targets,
        }
    }

    fn amounts(&mut self, written: Option<&AmountsFile>) -> Amounts {
        let Some(AmountsFile { cpu, memory: bytes }) = written else { return Amounts::default() };
        Amounts {
            cpus: self.quantity(cpu, cpus, "number of processors", "`\"300m\"` or `\"1.5\"`"),
            memory_bytes: self.quantity(
                bytes,
                memory,
                "amount of memory",
                "`\"384Mi\"` or `\"1.5Gi\"`",
            ),
        }
    }

    fn targets(&mut self, written: Option<&TargetsFile>) -> Targets {
        let Some(TargetsFile { cpu, memory }) = written else { return Targets::default() };
        Targets {
            cpu: self.quantity(cpu, share, "share", "`\"70%\"`"),
            memory: self.quantity(memory, share, "share", "`\"80%\"`"),
        }
    }

    fn quantity<T>(
        &mut self,
        text: &Option<At<String>>,
        read: fn(&str) -> Option<T>,
        what: &str,
        example: &str,
    ) -> Option<T> {
        let text = text.as_ref()?;
        let value = read(&text.value);
        if value.is_none() {
            let message = format!("`{}` is no {what}", text.value);
            self.problem(&text.span, message, format!("expected something like {example}"));
        }
        value
    }
}
