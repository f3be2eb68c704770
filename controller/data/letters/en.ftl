# The words of the notices in English; zh-CN.ftl says how they are written. The attribute `subject`
# is the English half of the subject line, after the Chinese one. Where there is little room, there
# is no English.

## Around every letter

mail =
    To { $contact },

    { $text }

    { $about }

about-system =
    System: { $system } ({ $code })
    Tenant: { $tenant }

list-separator = {"; "}

period = { $unit ->
    [working-days] { $number } working days
    [calendar-days] { $number } calendar days
    [months] { $number } months
    [seconds] { $number } s
    [working-days-before] { $number } working days before
    [same-as] until the end of { $other }
    [each-month] { $number } in each calendar month
    [each-year] { $number } in each calendar year
   *[none] no number
}

## The way of a tenant

handover = the cloud resources that you applied for are configured and open: { $instances } instance(s). The trial of { $trial } counts from the delivery of this notice; please begin deployment within { $deploy }.
    .subject = Resources handed over: { $system }

trial-expired = the trial has ended and the test report and security risk assessment report have not been received. Inbound ports are closed; instances and data are kept. Please hand in the reports.
    .subject = Trial expired: { $system }

confirmation-missing = the planned stop day has come, and migration and backup are not confirmed. If they stay unconfirmed, a second notice follows; nothing is stopped or destroyed before it.
    .subject = Please confirm migration and backup: { $system }

second-notice = this is the second notice. If migration and backup are not confirmed within { $grace } working days of its delivery, the instances are stopped; data is destroyed only after two persons of the provider have approved it. If you object, call the provider at once.
    .subject = Second notice: { $system }

rules-ended = the terms of these rules of your security groups are over, and they let nothing pass any more: { $rules }. If they are still needed, set the groups anew.
    .subject = Rules of security groups ended: { $system }

rules-ended-one = { $group }: { $purpose }

inspection = the security check of your system for { $month } is done, with { $findings } finding(s). Its report and advice are filed: read them among your records and attachments. SHA-256 of the report: { $report }
    .subject = Security check { $month }: { $system }

closed = all volumes, memory and keys of your system are destroyed, each with a signed attestation that can be verified from the exit bundle. Time: { $now }.
    .subject = Off-boarding complete: { $system }

reminder = obligation { $id } of clause { $clause }, owed by { $party ->
        [customer] the customer
       *[provider] the provider
    }, { $state ->
        [overdue] is overdue
       *[open] is still open
    }. Last day: { $until }, until its end in Asia/Shanghai. The standard says: { $quote }
    .subject = { $state ->
        [overdue] Overdue
       *[open] Due soon
    }: { $id }, { $until }: { $system }

## Contacts

probe = this is the test of the emergency contacts for { $month }; nothing has happened to your system. In an emergency cut you are notified over this channel. Please acknowledge that you received it, and check your contacts: tenurectl contact acknowledge { $tenant }
    .subject = Test of emergency contacts { $month }: { $system }

probe-unanswered = the test of { $customer }'s emergency contacts for { $month } is not complete. Channels that took nothing: { $silent }. { $acknowledged ->
        [yes] The customer has acknowledged it.
       *[no] The customer has not acknowledged it.
    } Please have the customer correct its contacts.
    .subject = Test of contacts unanswered { $month }: { $system }

contacts-changed = the emergency contacts of your system were changed at { $now } by { $by }; for 7 days you are still told of cuts, and of nothing else. If your organisation did not do this, call the provider at once.
    .subject = Emergency contacts changed: { $system }

former-contact = You are a contact from before a change: the emergency contacts were changed at { $at } by { $by }, and for { $days } days after that you are told of cuts as well. If your organisation did not do this, call the provider at once.

## Cuts

cut-announced = the network of your system is going to be cut for a time; its instant follows. Reason: { $reason }. Notified at { $now }.
    .subject = Planned network cut: { $system }

cut-called-off = the cut that was announced does not take place. Details: { $reason }.
    .subject = Planned network cut called off: { $system }

cut-title = { $kind ->
    [planned] Planned network cut
   *[emergency] Emergency network cut
}
cut-which = { $kind ->
    [planned] the planned
   *[emergency] an emergency
}
cut-number = Cut number: #{ $number } ({ $id })
not-cut-title = Correction: the network was not cut
more-title = More on the network cut
restore-ordered-title = Network restore ordered
restored-title = Network restored

drill = DRILL: this rehearses an emergency cut. The network is really cut for it and restored by itself; there is no security incident.
    .subject = DRILL

cut-ordered =
    { cut-which } cut of your system's network was ordered at { $now }; its instant follows. Reason: { $reason }.
    { cut-number }
    .subject = { cut-title } #{ $number }: { $system }

cut-done =
    the network of your system was cut { $kind ->
        [planned] as planned
       *[emergency] in an emergency
    } at { $t0 }. Reason: { $reason }.
    { cut-number }
    .subject = { cut-title } #{ $number }: { $system }

cut-on-host =
    the provider's staff cut your system's network on the host itself in an emergency. The controller did not answer, and the host sends this notice by itself; the reason and the times follow. It was written ahead, at { $now }.
    Cut id: { $id }
    .subject = { cut-title }: { $system }

cut-reminder =
    the network of your system has been cut since { $t0 }. Reason: { $reason }.
    { cut-number }
    .subject = The network cut is still open #{ $number }: { $system }

cut-void =
    the cut that was announced was not carried out; the network is up. Details: { $details }.
    { cut-number }
    .subject = { not-cut-title } #{ $number }: { $system }

restore-ordered =
    the restore of your system's network was ordered at { $now }; its instant follows.
    { cut-number }
    .subject = { restore-ordered-title } #{ $number }: { $system }

restore-done =
    the network of your system was restored at { $restored }.
    { cut-number }
    .subject = { restored-title } #{ $number }: { $system }

untold =
    of the emergency cut #{ $number } of { $customer }, { $alarm ->
        [phone] still no notice has reached the customer: phone it now, and record its acknowledgement.
       *[second-contacts] no notice has reached the customer yet.
    } { $t0 ->
        [known] the cut's instant is
       *[unknown] its instant is not known; it was ordered at
    } { $since }; the customer has to know before { $until }; now it is { $now }.
    Phones: { $phones }
    Record what you hear: { $record }
    .subject = { $alarm ->
        [phone] Phone now: cut not notified
       *[second-contacts] Cut not notified
    } #{ $number }: { $system }

no-phones = the application names none

## Joint notices: the head, and a line for each system

joint-cut = { cut-which } cut of the network of { $count } of your systems was ordered at { $at }. Reason: { $reason }. Of each:
joint-more = more on { cut-which } cut that was ordered at { $at }, of { $count } of your systems. Reason: { $reason }. Of each:
joint-restored = the restore of the network of { $count } of your systems was ordered at { $at }; of each:
joint-systems = { $count } systems

joint-line =
    { $place }. { $system } ({ $code }): { $said ->
        [cut] cut at { $at }
        [not-cut] NOT cut, the network is up. Details: { $details }
        [restore-ordered] restore ordered; its instant follows
        [restored] restored at { $at }
       *[cut-ordered] ordered; its instant follows
    }
    {"   "}Cut number: #{ $number } ({ $id }) Tenant: { $tenant }
