// A phone in a web page: JsSIP for the signalling, an oscillator for the microphone, an analyser for the ear.
import * as module from 'jssip';
const JsSIP = module.default || module;

const told = [];
let agent, call, ear, sound;
const tell = (type, text = '') => told.push({ type, text: String(text), at: Date.now() / 1000 });

function microphone(hz) {
  sound = sound || new AudioContext();
  const [voice, level, out] = [sound.createOscillator(), sound.createGain(), sound.createMediaStreamDestination()];
  voice.frequency.value = hz;
  level.gain.value = 0.3;
  voice.connect(level).connect(out);
  voice.start();
  return out.stream;
}

function listen(connection) {
  connection.addEventListener('track', ({ track, streams }) => {
    const stream = streams[0] || new MediaStream([track]);
    // Without an element that plays it, a remote track is silent to everybody else.
    document.getElementById('speaker').srcObject = stream;
    sound = sound || new AudioContext();
    ear = sound.createAnalyser();
    ear.fftSize = 16384;
    ear.smoothingTimeConstant = 0;
    sound.createMediaStreamSource(stream).connect(ear);
  });
  watch(connection);
  connection.addEventListener('iceconnectionstatechange', () => tell('ice', connection.iceConnectionState));
  connection.addEventListener('connectionstatechange', () => tell('connection', connection.connectionState));
}

// Tells when the first packet of sound is there.
async function watch(connection) {
  for (;;) {
    if (connection.connectionState === 'closed') return;
    let packets = 0;
    (await connection.getStats()).forEach((one) => { if (one.type === 'inbound-rtp') packets += one.packetsReceived; });
    if (packets) return tell('media', packets);
    await new Promise((later) => setTimeout(later, 10));
  }
}

function follow(session) {
  call = session;
  if (session.connection) listen(session.connection);
  else session.on('peerconnection', ({ peerconnection }) => listen(peerconnection));
  session.on('accepted', () => tell('answer'));
  session.on('progress', () => tell('ringing'));
  session.on('confirmed', () => tell('established'));
  session.on('hold', ({ originator }) => tell('hold', originator));
  session.on('unhold', ({ originator }) => tell('unhold', originator));
  session.on('newDTMF', ({ originator, dtmf }) => tell('digit', `${originator} ${dtmf.tone}`));
  session.on('ended', ({ originator, cause }) => tell('ended', `${originator} ${cause}`));
  session.on('failed', ({ originator, cause }) => tell('failed', `${originator} ${cause}`));
  session.on('sdp', ({ originator, type, sdp }) => tell('sdp', `${originator} ${type}\n${sdp}`));
}

const ice = (servers) => ({ pcConfig: { iceServers: servers || [] }, rtcOfferConstraints: { offerToReceiveAudio: true } });

window.phone = {
  told,
  start({ socket, uri, password, hz, answers, servers }) {
    const stream = microphone(hz || 440);
    agent = new JsSIP.UA({ sockets: [new JsSIP.WebSocketInterface(socket)], uri, password, register: true });
    for (const name of ['connected', 'disconnected', 'registered', 'unregistered']) agent.on(name, () => tell(name));
    agent.on('registrationFailed', ({ cause }) => tell('registrationFailed', cause));
    agent.on('newMessage', ({ originator, message }) => tell('message', `${originator} ${message.content || ''}`));
    agent.on('newRTCSession', ({ originator, session }) => {
      follow(session);
      if (originator !== 'remote') return;
      tell('incoming', session.remote_identity.uri);
      if (answers) session.answer({ mediaStream: stream, ...ice(servers) });
    });
    agent.start();
    this.call = (target) => void agent.call(target, { mediaStream: stream, ...ice(servers) });
  },
  stop: () => void agent.stop(),
  hangup: () => void call.terminate(),
  hold: () => void call.hold(),
  unhold: () => void call.unhold(),
  digits: (tones) => void call.sendDTMF(tones, { transportType: 'RFC2833' }),
  message: ([target, text]) => void agent.sendMessage(target, text),
  // The loudest frequency that is heard [Hz], and how far it stands above the mean of all others [dB].
  heard() {
    if (!ear) return { hz: 0, above: 0 };
    const bins = new Float32Array(ear.frequencyBinCount);
    ear.getFloatFrequencyData(bins);
    let peak = 2;
    bins.forEach((level, n) => { if (n > 2 && level > bins[peak]) peak = n; });
    const finite = [...bins].filter((level, n) => Math.abs(n - peak) > 8 && Number.isFinite(level));
    const mean = finite.length ? finite.reduce((sum, level) => sum + level, 0) / finite.length : -200;
    const loud = Number.isFinite(bins[peak]) && bins[peak] > -70;
    return { hz: loud ? peak * sound.sampleRate / ear.fftSize : 0, above: loud ? bins[peak] - mean : 0 };
  },
  async stats() {
    const all = [];
    if (call && call.connection) (await call.connection.getStats()).forEach((one) => all.push(one));
    const of = (type, rest = () => true) => all.find((one) => one.type === type && rest(one)) || {};
    const [inbound, outbound, transport] = [of('inbound-rtp'), of('outbound-rtp'), of('transport')];
    const pair = all.find((one) => one.id === transport.selectedCandidatePairId) || {};
    const remote = all.find((one) => one.id === pair.remoteCandidateId) || {};
    const local = all.find((one) => one.id === pair.localCandidateId) || {};
    const codec = all.find((one) => one.id === inbound.codecId) || {};
    return {
      received: inbound.packetsReceived, lost: inbound.packetsLost, sent: outbound.packetsSent, energy: inbound.totalAudioEnergy,
      level: inbound.audioLevel,
      codec: codec.mimeType, dtls: transport.dtlsState, srtp: transport.srtpCipher, tls: transport.tlsVersion,
      local: local.candidateType, remote: remote.candidateType, roundTrip: of('remote-inbound-rtp').roundTripTime,
    };
  },
};
