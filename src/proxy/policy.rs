//! What becomes of a request: answered here, refused, or forwarded, and to whom (RFC 3261 §16.3 to §16.5).
use super::auth::{Gate, Role};
use super::context::{Context, Target};
use super::dialogs::{CallKey, Dialogs};
use super::location::{Location, flows_towards};
use super::registrar::{Lifetimes, Registration};
use super::routing::{self, Own, Refused};
use crate::base::net::Flow;
use crate::sip::message::{Method, Request, Response};
use std::collections::VecDeque;
use std::time::Instant;

/// What the proxy itself answers.
const ALLOW: &str = "REGISTER, OPTIONS";
/// Extensions of a REGISTER that may be required.
const REGISTRAR_EXTENSIONS: [&str; 1] = ["path"];

/// What is done with a request.
#[derive(Debug)]
pub enum Decision {
    Answer(Box<Response>),
    Forward(Box<Context>),
}

/// All that is known of users, calls and ourselves.
#[derive(Debug)]
pub struct Policy {
    pub own: Own,
    pub gate: Gate,
    pub lifetimes: Lifetimes,
    pub location: Location,
    pub dialogs: Dialogs,
}

/// Where an ACK or another request inside of a dialog goes.
#[derive(Debug)]
pub struct Within {
    pub request: Request,
    pub flows: Vec<Flow>,
    pub call: CallKey,
    pub fork: String,
}

impl Policy {
    /// - `is_active`: whether the same request is being forwarded now; see [`routing::fingerprint`].
    /// - `tag`: for the To of an answer.
    pub fn decide(
        &mut self,
        now: Instant,
        mut request: Request,
        flow: Flow,
        is_active: bool,
        tag: &str,
    ) -> Result<Decision, Refused> {
        let fingerprint = routing::fingerprint(&request);
        routing::validate(&self.own, &request, is_active)?;
        let is_recorded = routing::take_own_routes(&self.own, &mut request)?;
        let context = |request, waiting| Context {
            request,
            source: flow,
            branches: Vec::new(),
            waiting,
            cancelled: false,
            answered: false,
            creates: None,
            ends: None,
            fingerprint,
        };
        if request.method == Method::Register && self.own.is_own(&request.uri) {
            return self.register(now, &request, flow, tag).map(|response| Decision::Answer(Box::new(response)));
        }

        if request.headers.to()?.tag().is_some() {
            let is_bye = request.method == Method::Bye;
            let within = self.within_dialog(now, request, flow, is_recorded)?;
            let target = Target { uri: None, path: Vec::new(), flows: within.flows };
            let mut context = context(within.request, VecDeque::from([vec![target]]));
            context.ends = is_bye.then_some((within.call, within.fork));
            return Ok(Decision::Forward(Box::new(context)));
        }

        // Whoever claims to be one of our users proves it; strangers may call our users and nobody else.
        let from = request.headers.from()?.uri;
        if self.own.is_own(&from) {
            let user = from.plain_user().unwrap_or_default();
            if let Err(answer) = self.gate.check(now, &request, flow.remote.ip(), Role::Proxy, &user, tag) {
                return Ok(Decision::Answer(answer));
            }
        } else if !self.gate.admits_strangers(flow.remote.ip()) {
            return Err(403.into());
        }
        let goes_on_elsewhere = request.headers.get("Route").is_some();
        if !self.own.is_own(&request.uri) || goes_on_elsewhere {
            return Err(403.into());
        }
        let Some(user) = request.uri.plain_user() else {
            return answer_itself(&request, tag).map(|response| Decision::Answer(Box::new(response)));
        };
        let targets = self.targets(now, &user)?;
        let creates_dialogs = matches!(request.method, Method::Invite | Method::Subscribe | Method::Refer);
        let mut context = context(request, targets);
        if creates_dialogs {
            let call = CallKey::of(&context.request.headers).ok_or(400)?;
            if !self.dialogs.open(now, call.clone(), flow) {
                return Err(403.into());
            }
            context.creates = Some(call);
        }
        Ok(Decision::Forward(Box::new(context)))
    }

    /// An ACK of a 2xx; `None` when it belongs to no dialog that passed through.
    pub fn acknowledge(&mut self, now: Instant, mut request: Request, flow: Flow) -> Option<Within> {
        let is_recorded = routing::take_own_routes(&self.own, &mut request).ok()?;
        if request.headers.number("Max-Forwards").ok()? == Some(0) {
            return None;
        }
        self.within_dialog(now, request, flow, is_recorded).ok()
    }

    /// - `is_recorded`: our own route stood on it.
    fn within_dialog(
        &mut self,
        now: Instant,
        mut request: Request,
        flow: Flow,
        is_recorded: bool,
    ) -> Result<Within, Refused> {
        let is_own = self.own.is_own(&request.uri);
        if !is_recorded && !is_own {
            return Err(403.into());
        }
        let refreshes = matches!(request.method, Method::Invite | Method::Update | Method::Subscribe);
        let way = self.dialogs.way(now, &request.headers, flow, refreshes).ok_or(481)?;
        if let Some(target) = way.target.filter(|_| is_own) {
            request.uri = target;
        }
        let flows = flows_towards(&routing::next_hop(&request), way.flow);
        Ok(Within { request, flows, call: way.key, fork: way.fork })
    }

    fn register(&mut self, now: Instant, request: &Request, flow: Flow, tag: &str) -> Result<Response, Refused> {
        routing::unsupported(request, "Require", &REGISTRAR_EXTENSIONS)?;
        let aor = request.headers.to()?.uri;
        let user = aor.plain_user().filter(|_| self.own.is_own(&aor)).ok_or(404)?;
        if let Err(answer) = self.gate.check(now, request, flow.remote.ip(), Role::Registrar, &user, tag) {
            return Ok(*answer);
        }
        let registration = Registration { now, request, flow, user: &user, tag };
        let own = &self.own;
        Ok(registration.perform(&mut self.location, &self.lifetimes, |uri| own.is_own(uri)))
    }

    /// The contacts of a user, in groups of equal preference (RFC 3261 §16.5).
    fn targets(&self, now: Instant, user: &str) -> Result<VecDeque<Vec<Target>>, Refused> {
        let bindings = match self.location.bindings(now, user) {
            Some(bindings) if !bindings.is_empty() => bindings,
            Some(_) => return Err(480.into()),
            None if self.gate.knows(user) => return Err(480.into()),
            None => return Err(404.into()),
        };
        let mut groups: VecDeque<(u16, Vec<Target>)> = VecDeque::new();
        for binding in bindings {
            let target = Target { uri: Some(binding.uri.clone()), path: binding.path.clone(), flows: binding.flows() };
            match groups.back_mut() {
                Some((q, group)) if *q == binding.q => group.push(target),
                _ => groups.push_back((binding.q, vec![target])),
            }
        }
        Ok(groups.into_iter().map(|(_, group)| group).collect())
    }
}

/// A request to the proxy, not to a user (RFC 3261 §11.2).
fn answer_itself(request: &Request, tag: &str) -> Result<Response, Refused> {
    if request.method != Method::Options {
        return Err(Refused { status: 405, headers: vec![("Allow", ALLOW.to_owned())] });
    }
    routing::unsupported(request, "Require", &[])?;
    let mut response = Response::to_request(request, 200, Some(tag));
    response.headers.push("Allow", ALLOW);
    response.headers.push("Supported", REGISTRAR_EXTENSIONS.join(", "));
    Ok(response)
}
