"""A message centre (SMPP 3.4) of one account, with smpplib's codec. It says what it gets as lines of
JSON, and does what lines of JSON tell it: {"receipt": ID, "state": "DELIVRD"} sends a receipt,
{"status": N} answers the submits after it with that command_status, {"deliver": true} sends a
receipt of its own for each submit from then on, {"drop": true} ends the connection. Its arguments:
the account's password, and the address to listen on."""

import json
import socket
import struct
import sys
import threading

from smpplib import smpp


class Numbers:
    """What smpplib takes its sequence numbers from."""

    sequence = 0

    def next_sequence(self):
        self.sequence += 1
        return self.sequence


NUMBERS = Numbers()
PASSWORD = sys.argv[1].encode()
connection = None
status = 0
deliver = False
ids = 0
sequence = 1000
deliveries = {}
lock = threading.Lock()
speaking = threading.Lock()


def say(**what):
    # Two threads speak: a line is written whole.
    with speaking:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


def send(name, sequence, **fields):
    pdu = smpp.make_pdu(name, client=NUMBERS, sequence=sequence, **fields)
    pdu.sequence = sequence
    with lock:
        connection.sendall(pdu.generate())


def exactly(stream, length):
    data = b""
    while len(data) < length:
        more = stream.recv(length - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def take(pdu):
    global ids
    if pdu.command == "bind_transceiver":
        right = pdu.password == PASSWORD
        say(bind=pdu.system_id.decode(), version=pdu.interface_version, right=right)
        code = 0 if right else 0x0E
        send("bind_transceiver_resp", pdu.sequence, status=code, system_id="smsc")
    elif pdu.command == "submit_sm":
        ids += 1
        name = f"m{ids:05}"
        say(submit=name, to=pdu.destination_addr.decode(), ton=pdu.dest_addr_ton,
            source=pdu.source_addr.decode(), esm_class=pdu.esm_class, coding=pdu.data_coding,
            registered=pdu.registered_delivery, data=pdu.short_message.hex())
        send("submit_sm_resp", pdu.sequence, status=status, message_id=name)
        if deliver and status == 0:
            receipt(name, "DELIVRD")
    elif pdu.command == "deliver_sm_resp":
        say(kept=deliveries.pop(pdu.sequence, None), status=pdu.status)
    elif pdu.command == "enquire_link":
        send("enquire_link_resp", pdu.sequence)
    elif pdu.command == "unbind":
        send("unbind_resp", pdu.sequence)


def receipt(name, state):
    global sequence
    with lock:
        sequence += 1
        number = sequence
    deliveries[number] = name
    text = (f"id:{name} sub:001 dlvrd:001 submit date:2611302000 done date:2611302001 "
            f"stat:{state} err:000 text:")
    send("deliver_sm", number, source_addr="8613800000000", destination_addr="1069",
         esm_class=4, short_message=text.encode(), sm_length=len(text))


def serve(listener):
    global connection
    while True:
        connection, _ = listener.accept()
        try:
            while True:
                head = exactly(connection, 4)
                length = struct.unpack(">L", head)[0]
                take(smpp.parse_pdu(head + exactly(connection, length - 4), client=NUMBERS))
        except (EOFError, OSError):
            say(ended=True)


def obey():
    global status, deliver
    for line in sys.stdin:
        order = json.loads(line)
        if "status" in order:
            status = order["status"]
            say(done=True)
        elif "deliver" in order:
            deliver = order["deliver"]
            say(done=True)
        elif "drop" in order:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            receipt(order["receipt"], order["state"])


def main():
    listener = socket.create_server((sys.argv[2], 0))
    say(port=listener.getsockname()[1])
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    obey()


main()
